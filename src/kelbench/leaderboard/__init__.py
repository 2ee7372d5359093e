"""From metrics of single seeds to rows with intervals, differences between runs, and verdicts on published claims."""
