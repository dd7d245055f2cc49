// Statistics of many measurements.

/** The smallest of `values` that at least so many hundredths of them do not exceed. */
export function percentile(values, hundredths) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * hundredths) / 100) - 1)];
}
