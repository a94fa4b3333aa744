// SPDX-License-Identifier: Apache-2.0
//
// Brings causes about and watches their alerts come and go.

/** Seconds for an alert to fire and to end: what its shortened durations ask for, and patience for a slow machine. */
const FIRES = { timeout: 100000 };
const QUIET = { timeout: 60000 };
const ENDS = { timeout: 100000 };

async function play(scene, cause) {
  const names = Object.keys(cause.alerts);
  const rows = names.map((name) => ({ name, what: cause.what }));
  const all = async (fn) => {
    await Promise.all(rows.map((row) => fn(row).catch((error) => { row.error ??= error.message; })));
  };
  let made = null;
  await all(async (row) => {
    await scene.monitor.ends(row.name, QUIET); // of what a cause before it stirred up
  });
  try {
    made = await cause.run(scene);
    await all(async (row) => {
      Object.assign(row, await scene.monitor.fires(row.name, { ...FIRES, labels: cause.alerts[row.name] }));
      if (/<no value>|\{\{|^$/.test(row.summary)) throw new Error(`it says: ${row.summary}`);
    });
    await made.undo();
    await all(async (row) => { row.ended = await scene.monitor.ends(row.name, ENDS); });
  } catch (error) {
    for (const row of rows) row.error ??= error.message;
  }
  return rows;
}

/** All causes of a group at once. */
export async function playGroup(scene, group, { say = () => {} } = {}) {
  return (await Promise.all(group.map(async (cause) => {
    const rows = await play(scene, cause);
    for (const row of rows) say(row);
    return rows;
  }))).flat();
}
