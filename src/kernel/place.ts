/** Where an event stands in the log of its service: the place of its batch, and its index there. */
export type Place = readonly [position: number, index: number];

/** An event's id ends with its place. */
export function placeOf(id: string): Place | undefined {
  const match = /-(\d+)-(\d+)$/.exec(id);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

export function isBehind([position, index]: Place, [lastPosition, lastIndex]: Place): boolean {
  return position > lastPosition || (position === lastPosition && index > lastIndex);
}
