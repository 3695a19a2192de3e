package bench

import (
	"math"
	"slices"
	"time"
)

// Times are how long something took, in milliseconds.
type Times struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// timesOf sums durations up; it sorts them.
func timesOf(all []time.Duration) Times {
	if len(all) == 0 {
		return Times{}
	}
	slices.Sort(all)
	return Times{N: len(all), P50: ms(percentile(all, 50)), P99: ms(percentile(all, 99)), Max: ms(all[len(all)-1])}
}

// percentile is the nearest-rank percentile of sorted durations: the least that p % of
// them do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(0, rank-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// over is a/b, 0 where b is.
func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
