# What all runs amount to.
from pathlib import Path


rule leaderboard:
    input:
        plan.of_each_run(
            "metrics.json", "ranks.valid.npz", "ranks.test.npz", "provenance.json"
        ),
        plan.of_each_task(),
        plan.prepared_datasets(),
        plan.claims(),
    output:
        plan.leaderboard,
    log:
        f"{plan.logs}/leaderboard.log",
    benchmark:
        f"{plan.logs}/leaderboard.jsonl"
    group:
        "report"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        experiment=plan.digest(),
        code=plan.code("leaderboard"),
        config=plan.file,
    message:
        f"gathering the leaderboard of {plan.name}"
    shell:
        "kelbench leaderboard --config {params.config} --out {output} 2> {log}"


# Measured once and kept in the repository; where it is missing the report goes without.
performance = Path("results/reference/benchmarks.json")


rule report:
    input:
        [str(performance)] if performance.is_file() else [],
        plan.leaderboard,
        plan.of_each_run("curve.jsonl", "timing.jsonl", "provenance.json"),
        plan.prepared_datasets(),
        plan.methods(),
    output:
        plan.reports,
    log:
        f"{plan.logs}/report.log",
    benchmark:
        f"{plan.logs}/report.jsonl"
    group:
        "report"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        experiment=plan.digest(),
        code=plan.code("report"),
        config=plan.file,
    message:
        f"rendering the report of {plan.name}"
    shell:
        "kelbench report --config {params.config} > {log} 2>&1"
