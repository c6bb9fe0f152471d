import { describe, expect, it } from '@jest/globals';
import { getMetadataStorage, IsInt, IsString, validateSync } from 'class-validator';
import { keepValidationPlans } from './validation-plans.js';

class Base {
  @IsString()
  name: unknown;
}

class Derived extends Base {
  @IsInt()
  count: unknown;
}

class Empty {}

const problems = (value: object): string[] => validateSync(value).map(({ property }) => property);

describe('kept validation plans', () => {
  it('are looked up once for a class, and what is inherited counts', () => {
    const storage = getMetadataStorage();
    let lookups = 0;
    const find = storage.getTargetValidationMetadatas.bind(storage);
    storage.getTargetValidationMetadatas = (...asked) => {
      lookups++;
      return find(...asked);
    };
    keepValidationPlans();
    keepValidationPlans();
    for (let turn = 0; turn < 3; turn++) {
      expect(problems(Object.assign(new Derived(), { name: 1, count: 'x' })).sort()).toEqual(['count', 'name']);
      expect(problems(Object.assign(new Derived(), { name: 'a', count: 1 }))).toEqual([]);
      expect(problems(Object.assign(new Base(), { name: 1 }))).toEqual(['name']);
    }
    expect(lookups).toBe(2);
  });

  it('do not make a class valid that has no checks', () => {
    keepValidationPlans();
    for (let turn = 0; turn < 2; turn++) expect(validateSync(new Empty())).toHaveLength(1);
  });
});
