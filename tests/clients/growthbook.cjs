// Evaluates with GrowthBook's JavaScript SDK: a JSON question a line in, its answer out.
//
// question: {payload, users: [{attributes, url, forcedVariations, qaMode, sticky}]}
// answer: a list per user of {key, result, documents}, or {key, threw}
process.env.NODE_ENV = "production";
const readline = require("node:readline");
const { GrowthBook } = require("@growthbook/growthbook");

console.error = () => {}; // unknown operators are reported there

function evaluated(payload, user) {
  const options = {
    attributes: user.attributes,
    url: user.url,
    forcedVariations: user.forcedVariations,
    qaMode: user.qaMode,
    disableCache: true,
  };
  if (user.sticky) {
    options.stickyBucketService = { saveAssignments: async () => {} };
    options.stickyBucketAssignmentDocs = user.sticky;
  }
  const growthbook = new GrowthBook(options);
  growthbook.initSync({ payload });
  const answers = Object.keys(payload.features).map((key) => {
    try {
      return { key, result: growthbook.evalFeature(key) };
    } catch (error) {
      return { key, threw: String(error) };
    }
  });
  return { answers, documents: growthbook.getStickyBucketAssignmentDocs() };
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { payload, users } = JSON.parse(line);
  const answer = users.map((user) => evaluated(payload, user));
  process.stdout.write(JSON.stringify(answer) + "\n");
});
