import { useSyncExternalStore } from 'react';

const phone = matchMedia('(max-width: 767px)');

/** Whether the window is as narrow as that of a phone. */
export const usePhone = (): boolean =>
  useSyncExternalStore((listener) => (phone.addEventListener('change', listener), () => phone.removeEventListener('change', listener)), () => phone.matches);
