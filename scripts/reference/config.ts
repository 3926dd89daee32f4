import { environmentName } from "../../src/platform/config.ts";
import { type Setting, type SettingKey, settings } from "../../src/platform/settings.ts";
import { code, heading, table } from "./markdown.ts";

export function configPage(): string {
  const rows = (Object.keys(settings) as SettingKey[]).map((key) => {
    const { schema, default: value, description, secret }: Setting<unknown> = settings[key];
    const note = secret ? " Secret: masked wherever it is shown." : "";
    return [code(environmentName(key)), show(value), schema.description ?? "", description + note];
  });
  return `${heading("Configuration", "src/platform/settings.ts")}
Settings are read once, at the start: from the environment, else from the file \`holdfast.json\` in the working
directory (\`HOLDFAST_CONFIG\` names another one), else the default. In the file a setting bears its name without the
prefix in lower case: \`HOLDFAST_PORT=7400\` is \`{"port": 7400}\`. A wrong value is refused at the start, and so is an
unknown name in the file; one in the environment, which is not ours alone, is warned of and ignored. \`holdfast config\`
shows what is in force and where it comes from.

${table(["setting", "default", "takes", "meaning"], rows)}
`;
}

function show(value: unknown): string {
  if (value === undefined) return "–";
  return code(Array.isArray(value) ? value.join(",") : String(value));
}
