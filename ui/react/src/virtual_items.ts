import { type RefObject, useCallback, useLayoutEffect, useReducer, useRef } from 'react';
import { defaultRangeExtractor, useVirtualizer, type VirtualItem } from '@tanstack/react-virtual';

export interface VirtualOptions {
  /** The element that scrolls. */
  box: RefObject<HTMLElement | null>;
  count: number;
  /** The key of an item. It stays the same wherever the item is. */
  keyOf: (index: number) => string | number;
  /** The index of the item with this key, -1 where there is none. */
  indexOf: (key: string | number) => number;
  /** The height of an item in px; with `measured`, the estimate of a height that is not measured yet. */
  sizeOf: (index: number) => number;
  /** A value that changes whenever items were added, removed or moved, or a `sizeOf` changed. */
  version: unknown;
  /** Heights are measured in the page: give each element `ref={measure}` and `data-index`. Default false. */
  measured?: boolean | undefined;
  /** The number of items drawn above and below those in sight. Default 8. */
  spare?: number | undefined;
  /** The index of an item that stays in the page although it is out of sight, such as the one with the focus. */
  keep?: number | undefined;
  /**
   * The items that hold the view in place, by the group they belong to. An item that changed its group does not hold the
   * view, nor does one without a group (undefined). Default: every item, one group.
   */
  groupOf?: ((index: number) => unknown) | undefined;
  /**
   * The key of the item that holds the view, such as the one under the pointer; true for the first in sight. They also stay in
   * place at the very top, where new items otherwise push them down. Default false.
   */
  hold?: (() => string | number | boolean) | undefined;
  /** Keeps the end in sight, as a log does that is followed. */
  follow?: boolean | undefined;
  /** The height in px of what is in the box above the items. Default 0. */
  margin?: number | undefined;
  /**
   * The height in px at the top of the box that something sticky covers: scrollTo leaves it free, and an item that is
   * covered does not hold the view. Default 0.
   */
  covered?: number | undefined;
}

export interface Virtual {
  /** The items to draw: index, key, start (px from the top of the box's content) and size. */
  items: readonly VirtualItem[];
  /** The height of all items in px. */
  size: number;
  /** The ref of an element whose height is measured. */
  measure: (element: Element | null) => void;
  /** Brings an item into sight: with 'nearest' as little as needed. */
  scrollTo: (index: number, align?: 'nearest' | 'start' | 'center' | 'end') => void;
  /** Where an item begins, in px from the top of the box's content. */
  startOf: (index: number) => number;
  /** The index of the first item that is wholly in sight, -1 where there is none. */
  firstInSight: () => number;
}

const SPARE = 8;

/**
 * Virtual scrolling by TanStack Virtual: only the items in sight are in the page. The items in sight keep their place on the
 * screen when items above them come, go or change their height.
 */
export function useVirtual(options: VirtualOptions): Virtual {
  const { box, count, version, measured = false, spare = SPARE, keep = -1, follow = false, margin = 0, covered = 0 } = options;
  const latest = useRef(options);
  latest.current = options;
  const again = useReducer((n: number) => n + 1, 0)[1];
  // Another function for another version has the positions computed anew, and keeps what was measured by key.
  const getItemKey = useCallback((index: number) => latest.current.keyOf(index), [version]);
  const virtualizer = useVirtualizer<HTMLElement, Element>({
    count,
    getScrollElement: () => box.current,
    estimateSize: (index) => latest.current.sizeOf(index),
    getItemKey,
    overscan: spare,
    scrollMargin: margin,
    scrollPaddingStart: covered,
    rangeExtractor: (range) => {
      const drawn = defaultRangeExtractor(range);
      if (keep < 0 || keep >= count || (keep >= drawn[0]! && keep <= drawn.at(-1)!)) return drawn;
      return keep < (drawn[0] ?? Infinity) ? [keep, ...drawn] : [...drawn, keep];
    },
    useFlushSync: false,
  });
  virtualizer.shouldAdjustScrollPositionOnItemSizeChange = () => false; // the anchor below does that

  const startOf = (index: number) => virtualizer.measurementsCache[index]?.start ?? 0;

  // moveTo scrolls, and draws what comes into sight at once rather than after the scroll event.
  const moveTo = (top: number) => {
    const element = box.current!;
    element.scrollTop = top;
    if (virtualizer.scrollOffset === element.scrollTop) return;
    virtualizer.scrollOffset = element.scrollTop;
    again();
  };

  const anchors = useRef<{ key: string | number; start: number; group: unknown }[]>([]);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const { indexOf, groupOf = () => true, hold } = latest.current;
    const held = hold?.() ?? false;
    if (follow) moveTo(element.scrollHeight - element.clientHeight);
    else if (element.scrollTop > 0 || held !== false) {
      for (const { key, start, group } of anchors.current.toSorted((a, b) => Number(b.key === held) - Number(a.key === held))) {
        const index = indexOf(key);
        if (index < 0 || groupOf(index) !== group) continue;
        const by = startOf(index) - start;
        if (by) moveTo(element.scrollTop + by);
        break;
      }
    }
  });

  // What is in sight now holds its place until the next change; scrolling draws nothing, so it is noted as the box scrolls.
  const noteAnchors = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const { keyOf, groupOf = () => true, count, covered = 0 } = latest.current;
    const { scrollTop, clientHeight } = element;
    anchors.current = [];
    for (const { index, start } of virtualizer.getVirtualItems()) {
      if (start < scrollTop + covered || start >= scrollTop + clientHeight || index >= count) continue;
      const group = groupOf(index);
      if (group !== undefined) anchors.current.push({ key: keyOf(index), start, group });
    }
  }, [box, virtualizer]);
  useLayoutEffect(noteAnchors);

  return {
    items: virtualizer.getVirtualItems(),
    size: virtualizer.getTotalSize(),
    measure: virtualizer.measureElement,
    startOf,
    scrollTo(index, align = 'nearest') {
      const item = virtualizer.measurementsCache[index];
      const element = box.current;
      if (!item || !element) return;
      if (measured) return virtualizer.scrollToIndex(index, { align: align === 'nearest' ? 'auto' : align });
      const { scrollTop, clientHeight } = element;
      const [top, bottom] = [item.start - covered, item.end - clientHeight];
      if (align === 'start' || (align === 'nearest' && top < scrollTop)) moveTo(top);
      else if (align === 'end' || (align === 'nearest' && bottom > scrollTop)) moveTo(bottom);
      else if (align === 'center') moveTo((top + bottom) / 2);
    },
    firstInSight() {
      const top = (box.current?.scrollTop ?? 0) + covered;
      return virtualizer.getVirtualItems().find(({ start }) => start >= top)?.index ?? -1;
    },
  };
}
