import { type ChangeEvent, useId } from 'react';
import { clean } from '@agentexec/client/text';
import { type Draft, type Field, indexes, type Option } from './form.ts';

interface FieldsProps {
  field: Field;
  draft: Draft;
  /** Sentences by the path of the field. */
  problems: Readonly<Record<string, string>>;
  disabled: boolean;
  /** The id of the element that names a form of one field: the prompt. */
  promptId: string;
  onChange: (path: string, text: string) => void;
}

/** The fields of a form, each with its label and what is wrong with it. */
export function Fields({ field, ...props }: FieldsProps) {
  if (field.kind !== 'object') return <Entry field={field} {...props} />;
  const fields = field.fields.map((one) => <Fields key={one.path} field={one} {...props} />);
  if (!field.label) return <>{fields}</>;
  return <fieldset className="ax-ask-group"><legend>{clean(field.label)}</legend>{fields}</fieldset>;
}

function Entry({ field, draft, problems, disabled, promptId, onChange }: FieldsProps) {
  const id = useId();
  const { path, label, hint, required, kind } = field;
  const problem = problems[path];
  const help = hint || hintOf(field);
  const described = [help && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(' ') || undefined;
  const group = kind === 'choices' || (kind === 'choice' && field.buttons);
  const named = group || !label ? { 'aria-labelledby': label ? `${id}-label` : promptId } : { id };
  const name = label && <>{clean(label)}{required ? <span aria-hidden="true" className="ax-ask-required" title="Required"> *</span> : null}</>;
  const common = { ...named, 'aria-describedby': described, 'aria-invalid': problem ? (true as const) : undefined, 'data-path': path };
  const text = draft[path] ?? '';
  const changed = (e: ChangeEvent<HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>) => onChange(path, e.target.value);
  const entry = { ...common, value: text, disabled, required, onChange: changed };
  return (
    <div className="ax-ask-field" data-kind={kind} data-bare={!label || undefined}>
      {label && (group ? <span className="ax-ask-label" id={`${id}-label`}>{name}</span> : <label className="ax-ask-label" htmlFor={id}>{name}</label>)}
      <div className="ax-ask-entry">
        {kind === 'choice' && field.buttons && <Radios {...common} name={id} options={field.options} text={text} disabled={disabled} required={required} onChange={(to) => onChange(path, to)} />}
        {kind === 'choice' && !field.buttons && (
          <select className="ax-field" {...entry}>
            <option value="">{required ? 'Choose …' : 'No answer'}</option>
            {field.options.map((option, n) => <option key={n} value={n}>{clean(option.label)}</option>)}
          </select>
        )}
        {kind === 'choices' && <Boxes {...common} options={field.options} text={text} disabled={disabled} onChange={(to) => onChange(path, to)} />}
        {kind === 'number' && <input className="ax-field" inputMode={field.schema['type'] === 'integer' ? 'numeric' : 'decimal'} autoComplete="off" {...entry} />}
        {kind === 'text' && !field.long && <input className="ax-field" autoComplete="off" dir="auto" {...entry} />}
        {(kind === 'json' || kind === 'items' || (kind === 'text' && field.long)) && (
          <textarea className={kind === 'json' ? 'ax-field ax-mono' : 'ax-field'} rows={3} spellCheck={kind === 'text'} dir={kind === 'json' ? 'ltr' : 'auto'} {...entry} />
        )}
        {help && <p className="ax-ask-hint" id={`${id}-hint`}>{clean(help)}</p>}
        {problem && <p className="ax-ask-problem" id={`${id}-problem`}>{clean(problem)}</p>}
      </div>
    </div>
  );
}

interface ChoiceProps {
  options: readonly Option[];
  text: string;
  disabled: boolean;
  onChange: (text: string) => void;
  'aria-labelledby'?: string | undefined;
  'aria-describedby': string | undefined;
  'aria-invalid': true | undefined;
  'data-path': string;
}

// One of two to four options. An option that is not required is taken back with "No answer" in a list, or with a second click.
function Radios({ options, text, name, disabled, required, onChange, ...aria }: ChoiceProps & { name: string; required: boolean }) {
  return (
    <div className="ax-choice" role="radiogroup" aria-required={required} tabIndex={-1} {...aria}>
      {options.map((option, n) => (
        <label key={n}>
          <input
            type="radio" name={name} value={n} checked={text === String(n)} disabled={disabled}
            onChange={() => onChange(String(n))} onClick={() => !required && text === String(n) && onChange('')}
          />
          {clean(option.label)}
        </label>
      ))}
    </div>
  );
}

function Boxes({ options, text, disabled, onChange, 'aria-invalid': _invalid, ...aria }: ChoiceProps) {
  const chosen = new Set(indexes(text));
  const toggle = (n: number) => {
    if (!chosen.delete(n)) chosen.add(n);
    onChange([...chosen].sort((a, b) => a - b).join());
  };
  return (
    <div className="ax-ask-boxes" role="group" tabIndex={-1} {...aria}>
      {options.map((option, n) => (
        <label key={n}><input type="checkbox" className="ax-check" checked={chosen.has(n)} disabled={disabled} onChange={() => toggle(n)} />{clean(option.label)}</label>
      ))}
    </div>
  );
}

/** The bounds of a field in words; '' for none. */
function hintOf({ kind, schema, required, ...field }: Field): string {
  const bound = (least: unknown, most: unknown, what: string) => {
    const [low, high] = [typeof least === 'number' && least > (what ? 0 : -Infinity) ? least : undefined, typeof most === 'number' ? most : undefined];
    if (low === undefined && high === undefined) return '';
    return `${low === undefined ? `at most ${high}` : high === undefined ? `at least ${low}` : `${low} to ${high}`}${what && ' ' + what}`;
  };
  const number = () => bound(schema['minimum'], schema['maximum'], '');
  const said = [
    !required && field.path !== 'answer' && kind !== 'object' ? 'optional' : '',
    kind === 'text' ? bound(schema['minLength'], schema['maxLength'], 'characters') : kind === 'number' ? number() : '',
    kind === 'items' || kind === 'choices' ? bound(schema['minItems'], schema['maxItems'], 'items') : '',
    kind === 'items' ? 'one in each line' : kind === 'json' ? 'JSON, such as "text", 42 or {"a": 1}' : '',
  ].filter(Boolean).join(', ');
  return said && said[0]!.toUpperCase() + said.slice(1);
}
