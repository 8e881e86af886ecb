# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Counts test cases in the log of ctest (Testing/Temporary/LastTest.log) or of tests/vm/run.sh.
# Sourced, not run.

# count_cases LOG…: "PASSED FAILED SKIPPED". A program that prints summaries of cmocka counts for
# as many cases as they say; one more has failed when it ended badly without saying so (a crash, a
# sanitizer's finding). A program that prints none is one case.
count_cases() {
	awk '
	function start() { p = f = s = summaries = 0 }
	function finish(good) {
		if (!summaries && good)
			p = 1
		if (!f && !good)
			f = 1
		passed += p; failed += f; skipped += s
	}
	/^[0-9]+\/[0-9]+ Testing: |^@@begin / { start() }
	match($0, /\[ +(PASSED|FAILED|SKIPPED) +\] [0-9]+ test\(s\)/) {
		split(substr($0, RSTART, RLENGTH), word, /[][ ]+/)
		summaries++
		if (word[2] == "PASSED") p += word[3]
		if (word[2] == "FAILED") f += word[3]
		if (word[2] == "SKIPPED") s += word[3]
	}
	/^Test Passed\.$/ { finish(1) }
	/^Test Failed\.$/ { finish(0) }
	/^@@end / { finish($NF == 0); start() } # the next line may be lost
	END { print passed + 0, failed + 0, skipped + 0 }' "$@"
}

# count_print PASSED FAILED SKIPPED
count_print() {
	printf '%d passed, %d failed' "$1" "$2"
	(($3)) && printf ', %d skipped' "$3"
	printf '\n'
}

# count_line LOG…: the closing line for these logs.
count_line() {
	local passed failed skipped

	read -r passed failed skipped < <(count_cases "$@")
	count_print "$passed" "$failed" "$skipped"
}

# count_is_good LOG…: something has passed and nothing failed.
count_is_good() {
	local passed failed

	read -r passed failed _ < <(count_cases "$@")
	((passed > 0 && failed == 0))
}
