// SPDX-License-Identifier: Apache-2.0
//
// What is pressed and filled in: React Aria's parts with our looks.
import { Check, ChevronDown, Minus, Plus, X, type LucideIcon } from './icons';
import { useId, useState, type ReactNode } from 'react';
import {
  Button as AriaButton, Checkbox as AriaCheckbox, FieldError, Group, Input, Label, ListBox, ListBoxItem,
  NumberField as AriaNumberField, Popover, Radio, RadioGroup, Select as AriaSelect, SelectValue, Switch as AriaSwitch, Tag,
  TagGroup, TagList, Text, TextArea, TextField as AriaTextField, type ButtonProps as AriaButtonProps,
} from './aria';
import { Link } from 'wouter';
import { useWords } from '../language';

type Kind = 'plain' | 'main' | 'danger' | 'quiet';

export interface ButtonProps extends Omit<AriaButtonProps, 'children' | 'className'> {
  kind?: Kind;
  icon?: LucideIcon;
  children?: ReactNode;
  className?: string;
}

/** isPending is only seen: what came of it is said when it is over, and a second press does nothing (useAction). */
export function Button({ kind = 'plain', icon: Icon, children, className = '', isPending = false, ...props }: ButtonProps) {
  return (
    <AriaButton {...props} className={`button ${kind} ${children ? '' : 'square'} ${isPending ? 'pending' : ''} ${className}`}>
      {isPending ? <span className="spinner" aria-hidden /> : Icon && <Icon size={18} aria-hidden />}
      {children && <span>{children}</span>}
    </AriaButton>
  );
}

export function LinkButton({ href, kind = 'plain', icon: Icon, children }: { href: string; kind?: Kind; icon?: LucideIcon; children: ReactNode }) {
  return (
    <Link href={href} className={`button ${kind}`}>
      {Icon && <Icon size={18} aria-hidden />}
      <span>{children}</span>
    </Link>
  );
}

interface FieldProps {
  label: string;
  help?: string | undefined;
  error?: string | undefined;
  isRequired?: boolean;
  isDisabled?: boolean;
  name?: string;
  autoFocus?: boolean;
  className?: string;
}

export interface TextFieldProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  type?: 'text' | 'password' | 'email' | 'search' | 'url' | 'datetime-local';
  rows?: number;
  autoComplete?: string;
  inputMode?: 'numeric' | 'text';
  placeholder?: string;
  maxLength?: number;
  isMono?: boolean;
  isReadOnly?: boolean;
}

export function TextField({ label, help, error, rows, placeholder, isMono, className = '', maxLength = 4000, ...props }: TextFieldProps) {
  return (
    <AriaTextField {...props} isInvalid={Boolean(error)} maxLength={maxLength} className={`field ${className}`}>
      <Label>{label}</Label>
      {rows ? <TextArea rows={rows} placeholder={placeholder ?? ''} className={`input ${isMono ? 'mono' : ''}`} spellCheck={!isMono} />
        : <Input placeholder={placeholder ?? ''} className={`input ${isMono ? 'mono' : ''}`} />}
      {help && <Text slot="description" className="help">{help}</Text>}
      <FieldError className="error">{error}</FieldError>
    </AriaTextField>
  );
}

export function NumberField({ label, help, error, value, onChange, min = 0, max, className = '', ...props }: FieldProps & {
  value: number; onChange: (value: number) => void; min?: number; max?: number }) {
  return (
    <AriaNumberField {...props} value={value} onChange={(v) => onChange(Number.isNaN(v) ? min : v)} minValue={min}
      {...(max === undefined ? {} : { maxValue: max })} isInvalid={Boolean(error)} className={`field ${className}`}>
      <Label>{label}</Label>
      <Group className="stepper">
        <AriaButton slot="decrement" className="button square"><Minus size={16} aria-hidden /></AriaButton>
        <Input className="input" />
        <AriaButton slot="increment" className="button square"><Plus size={16} aria-hidden /></AriaButton>
      </Group>
      {help && <Text slot="description" className="help">{help}</Text>}
      <FieldError className="error">{error}</FieldError>
    </AriaNumberField>
  );
}

export interface Option { id: string; label: string; help?: string }

export function Select({ label, help, error, value, options, onChange, placeholder, className = '', isLabelHidden = false, ...props }:
FieldProps & { value: string; options: Option[]; onChange: (value: string) => void; placeholder?: string; isLabelHidden?: boolean }) {
  return (
    <AriaSelect {...props} selectedKey={value || null} onSelectionChange={(k) => onChange(String(k))} isInvalid={Boolean(error)}
      placeholder={placeholder ?? ''} className={`field ${className}`} {...(isLabelHidden ? { 'aria-label': label } : {})}>
      {!isLabelHidden && <Label>{label}</Label>}
      <AriaButton className="input select">
        <SelectValue className="chosen">
          {({ selectedText, isPlaceholder }) => (isPlaceholder ? <span className="soft">{placeholder ?? ''}</span> : selectedText)}
        </SelectValue>
        <ChevronDown size={18} aria-hidden />
      </AriaButton>
      {help && <Text slot="description" className="help">{help}</Text>}
      <FieldError className="error">{error}</FieldError>
      <Popover className="popover list" offset={4}>
        <ListBox items={options} className="options">
          {(o) => (
            <ListBoxItem id={o.id} textValue={o.label} className="option">
              {({ isSelected }) => (
                <>
                  <Check size={16} aria-hidden className={isSelected ? '' : 'unseen-keep'} />
                  <span><Text slot="label">{o.label}</Text>{o.help && <Text slot="description" className="help">{o.help}</Text>}</span>
                </>
              )}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

export function Choice({ label, help, value, options, onChange, isDisabled = false }: FieldProps & {
  value: string; options: Option[]; onChange: (value: string) => void }) {
  return (
    <RadioGroup value={value} onChange={onChange} isDisabled={isDisabled} className="field choice">
      <Label>{label}</Label>
      {help && <Text slot="description" className="help">{help}</Text>}
      <div className="choices">
        {options.map((o) => (
          <Radio key={o.id} value={o.id} className="radio">
            <span className="dot" aria-hidden />
            <span className="words"><span>{o.label}</span>{o.help && <span className="help">{o.help}</span>}</span>
          </Radio>
        ))}
      </div>
    </RadioGroup>
  );
}

export function Checkbox({ children, help, isSelected, onChange, isDisabled = false, name }: { children: ReactNode; help?: string;
  isSelected: boolean; onChange: (value: boolean) => void; isDisabled?: boolean; name?: string }) {
  const id = useId();
  return (
    <AriaCheckbox isSelected={isSelected} onChange={onChange} isDisabled={isDisabled} className="check" {...(name ? { name } : {})}
      {...(help ? { 'aria-describedby': id } : {})}>
      <span className="box" aria-hidden><Check size={16} /></span>
      <span className="words"><span>{children}</span>{help && <span id={id} className="help">{help}</span>}</span>
    </AriaCheckbox>
  );
}

export function Switch({ children, isSelected, onChange, isDisabled = false, label }: { children?: ReactNode; label?: string;
  isSelected: boolean; onChange: (value: boolean) => void; isDisabled?: boolean }) {
  return (
    <AriaSwitch isSelected={isSelected} onChange={onChange} isDisabled={isDisabled} className="switch" {...(label ? { 'aria-label': label } : {})}>
      <span className="track" aria-hidden><span className="thumb" /></span>
      {children && <span>{children}</span>}
    </AriaSwitch>
  );
}

/** A list of short texts: addresses, words, file names. */
export function Texts({ label, help, error, values, onChange, placeholder, isDisabled = false, suggestions = [] }: FieldProps & {
  values: string[]; onChange: (values: string[]) => void; placeholder?: string; suggestions?: Option[] }) {
  const { t } = useWords();
  const [next, setNext] = useState('');
  const id = useId();
  const add = (text: string) => {
    // A regular expression may hold a comma; lists that are pasted are split.
    const found = (text.trim().startsWith('/') || text.trim().startsWith('!/') ? [text] : text.split(/[,、\n]/)).map((s) => s.trim())
      .filter((s) => s && !values.includes(s));
    if (found.length > 0) onChange([...values, ...new Set(found)]);
    setNext('');
  };
  const left = suggestions.filter((s) => !values.includes(s.id));
  return (
    <div className="field texts">
      {values.length > 0 && (
        <TagGroup aria-label={label} onRemove={(keys) => onChange(values.filter((v) => !keys.has(v)))} className="tags">
          <TagList items={values.map((v) => ({ id: v }))}>
            {(item) => (
              <Tag id={item.id} textValue={item.id} className={`tag ${item.id.startsWith('!') ? 'not' : ''}`}>
                <span>{item.id}</span>
                {!isDisabled && <AriaButton slot="remove" className="remove" aria-label={t('remove.one', { name: item.id })}><X size={14} aria-hidden /></AriaButton>}
              </Tag>
            )}
          </TagList>
        </TagGroup>
      )}
      <AriaTextField value={next} onChange={setNext} isDisabled={isDisabled} isInvalid={Boolean(error)} maxLength={500}
        onBlur={() => { if (next.trim()) add(next); }}
        onKeyDown={(e) => {
          if (e.key === 'Enter' && !e.nativeEvent.isComposing) { e.preventDefault(); add(next); }
        }}>
        <Label className="label-first">{label}</Label>
        <div className="with-button">
          <Input className="input" placeholder={placeholder ?? ''} aria-describedby={id} />
          <Button isDisabled={isDisabled || !next.trim()} onPress={() => add(next)} icon={Plus} aria-label={t('add.to', { name: label })} />
        </div>
        <Text slot="description" className="help">{help}</Text>
        <FieldError className="error">{error}</FieldError>
      </AriaTextField>
      {left.length > 0 && !isDisabled && (
        <div className="suggestions">
          {left.slice(0, 8).map((s) => <Button key={s.id} kind="quiet" icon={Plus} onPress={() => onChange([...values, s.id])}>{s.label}</Button>)}
        </div>
      )}
    </div>
  );
}
