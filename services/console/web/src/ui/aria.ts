// SPDX-License-Identifier: Apache-2.0
//
// The parts of React Aria Components that the pages use, each from its own file: the whole would have to be read for each
// build.
export { Button, type ButtonProps } from 'react-aria-components/Button';
export { Checkbox } from 'react-aria-components/Checkbox';
export { Dialog } from 'react-aria-components/Dialog';
export { DropZone } from 'react-aria-components/DropZone';
export { FileTrigger } from 'react-aria-components/FileTrigger';
export { GridList, GridListItem } from 'react-aria-components/GridList';
export { Group } from 'react-aria-components/Group';
export { Heading } from 'react-aria-components/Heading';
export { I18nProvider } from 'react-aria-components/I18nProvider';
export { ListBox, ListBoxItem } from 'react-aria-components/ListBox';
export { Menu, MenuItem, MenuTrigger } from 'react-aria-components/Menu';
export { Meter } from 'react-aria-components/Meter';
export { Modal, ModalOverlay } from 'react-aria-components/Modal';
export { NumberField } from 'react-aria-components/NumberField';
export { Popover } from 'react-aria-components/Popover';
export { ProgressBar } from 'react-aria-components/ProgressBar';
export { Radio, RadioGroup } from 'react-aria-components/RadioGroup';
export { Select, SelectValue } from 'react-aria-components/Select';
export { Switch } from 'react-aria-components/Switch';
export { Tab, TabList, TabPanel, Tabs } from 'react-aria-components/Tabs';
export { Tag, TagGroup, TagList } from 'react-aria-components/TagGroup';
export { FieldError, Input, Label, Text, TextArea, TextField } from 'react-aria-components/TextField';
export { UNSTABLE_Toast as Toast, UNSTABLE_ToastContent as ToastContent, UNSTABLE_ToastQueue as ToastQueue,
  UNSTABLE_ToastRegion as ToastRegion } from 'react-aria-components/Toast';
export { ToggleButton } from 'react-aria-components/ToggleButton';
export { ToggleButtonGroup } from 'react-aria-components/ToggleButtonGroup';
export { isFileDropItem, useDragAndDrop } from 'react-aria-components/useDragAndDrop';
