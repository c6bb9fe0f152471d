import type { Command } from 'commander';
import { homeDirectory, readStack } from '@plinth/stack';

export function register(program: Command): void {
  program
    .command('doctor')
    .description('check whether this machine has what plinth needs, and how many containers fit on it')
    .option('--json', 'JSON for programs')
    .addHelpText(
      'after',
      '\nExits with 0 when no check fails; warnings are allowed. The number of containers is for idle ones; what ' +
        'yours use comes on top.\n' +
        '\nExample:\n  plinth doctor --json',
    )
    .action(async (options: { json?: boolean }) => {
      const [
        { checkMachine },
        { checkLimits },
        { checkNames },
        { checkNetwork },
        { checkCni },
        { checkPrograms },
        { checkBus },
        { checkKernel },
        { checkUserNamespaces },
        { containerRoom, roomLines },
        { readMachine },
      ] = await Promise.all([
        import('../doctor/machine.js'),
        import('../doctor/limits.js'),
        import('../doctor/names.js'),
        import('../doctor/network.js'),
        import('../doctor/cni.js'),
        import('../doctor/programs.js'),
        import('../doctor/bus.js'),
        import('../doctor/kernel.js'),
        import('../doctor/user-namespaces.js'),
        import('../doctor/container-limits.js'),
        import('../doctor/machine-readings.js'),
      ]);
      const home = homeDirectory();
      const { addressPool, cniConfig } = readStack(home) ?? {};
      const environment: NodeJS.ProcessEnv = {
        ...(addressPool !== undefined && { PLINTH_ADDRESS_POOL: addressPool }),
        ...(cniConfig !== undefined && { PLINTH_CNI_CONFIG: cniConfig }),
        ...process.env,
      };
      const checks = [
        ...checkMachine(home, process.env),
        ...checkNetwork(environment),
        ...(await checkCni(environment)),
        ...(environment['PLINTH_CNI_CONFIG'] === undefined ? await checkNames(environment) : []),
        ...checkPrograms(),
        ...(await checkBus(process.env)),
        ...(await checkKernel()),
        await checkUserNamespaces(home, process.env),
        ...checkLimits(home, process.env),
      ];
      const failed = checks.filter((check) => check.state === 'fail').length;
      const containers =
        process.platform === 'linux' ? containerRoom(readMachine(homeDirectory(), process.env)) : undefined;
      if (options.json) process.stdout.write(`${JSON.stringify({ ok: failed === 0, checks, containers }, null, 2)}\n`);
      else {
        for (const { name, state, found, todo } of checks)
          process.stdout.write(
            `${state.padEnd(4)}  ${name.padEnd(14)} ${found}${todo ? `\n      ${' '.repeat(14)} -> ${todo}` : ''}\n`,
          );
        if (containers) {
          process.stdout.write(`\n${roomLines(containers).join('\n')}\n`);
          if (containers.fits !== null)
            process.stdout.write(`${containers.fits} idle containers fit; ${containers.firstLimit} ends first\n\n`);
        }
        process.stdout.write(
          failed === 0
            ? 'this machine is fit\n'
            : `${failed === 1 ? '1 check fails' : `${failed} checks fail`}; see the lines with ->\n`,
        );
      }
      if (failed > 0) process.exitCode = 1;
    });
}
