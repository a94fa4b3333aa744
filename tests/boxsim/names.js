// SPDX-License-Identifier: Apache-2.0
// Names of items: what Box refuses, and what counts as taken.
'use strict';
const { BoxError, badRequest, missing } = require('./errors');
const shapes = require('./shapes');

const NAME_MAX = 255;

function check(name, world, field = 'name') {
  if (name === undefined || name === null) {
    throw missing(field);
  }
  if (typeof name !== 'string') {
    throw badRequest(field, 'must be a string');
  }
  const points = [...name];
  if (points.length > NAME_MAX) {
    throw new BoxError(400, 'item_name_too_long', 'Item name too long');
  }
  const isBad =
    name === '' ||
    name === '.' ||
    name === '..' ||
    /[/\\\u0000-\u001f\u007f]/.test(name) ||
    name.startsWith(' ') ||
    name.endsWith(' ') ||
    (!world.settings.astral_names && points.some((c) => c.codePointAt(0) > 0xffff));
  if (isBad) {
    throw new BoxError(400, 'item_name_invalid', 'Item name invalid');
  }
  return name;
}

// A file and a folder collide too, and case makes no difference.  Folders report the conflicts as a
// list, uploads as one object: that is what live replies look like, whatever the specification
// says.
function refuseTaken(world, parent, name, { asList, except = null }) {
  const there = world.childNamed(parent, name);
  if (there && there !== except) {
    const mini = shapes.mini(there);
    throw new BoxError(409, 'item_name_in_use', 'Item with the same name already exists', {
      conflicts: asList ? [mini] : mini,
    });
  }
}

module.exports = { check, refuseTaken };
