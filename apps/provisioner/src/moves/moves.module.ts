import { Module } from '@nestjs/common';
import { ContainerRelocation } from './container-relocation.js';

@Module({ providers: [ContainerRelocation], exports: [ContainerRelocation] })
export class MovesModule {}
