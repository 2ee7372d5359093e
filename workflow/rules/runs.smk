# Runs: one job trains, and one ranks with, all seeds of a run on a dataset, since starting Python takes seconds.


rule train:
    input:
        plan.training_files,
    output:
        plan.of_each_seed(
            "model.safetensors", "curve.jsonl", "timing.jsonl", "provenance.json"
        ),
        f"results/{plan.name}/{{dataset}}/{{run}}/settings.json",
    log:
        f"{plan.logs}/{{dataset}}/{{run}}/train.log",
    benchmark:
        f"{plan.logs}/{{dataset}}/{{run}}/train.jsonl"
    conda:
        "../../environment.yml"
    threads: plan.threads
    resources:
        mem_mb=plan.memory_mib,
        runtime=plan.minutes,
    params:
        settings=plan.settings_digest,
        seeds=plan.seeds,
        code=plan.training_code,
        config=plan.file,
    message:
        "training {wildcards.run} on {wildcards.dataset}"
    shell:
        "kelbench train --config {params.config} --dataset {wildcards.dataset}"
        " --run {wildcards.run} --threads {threads} 2> {log}"


rule evaluate:
    input:
        plan.of_each_seed("model.safetensors"),
        plan.prepared("{dataset}"),
    output:
        plan.of_each_seed("ranks.valid.npz", "ranks.test.npz", "metrics.json"),
    log:
        f"{plan.logs}/{{dataset}}/{{run}}/evaluate.log",
    benchmark:
        f"{plan.logs}/{{dataset}}/{{run}}/evaluate.jsonl"
    conda:
        "../../environment.yml"
    threads: plan.threads
    resources:
        mem_mb=plan.memory_mib,
        runtime=plan.minutes,
    params:
        code=plan.code("evaluate"),
        config=plan.file,
    message:
        "ranking with {wildcards.run} on {wildcards.dataset}"
    shell:
        "kelbench evaluate --config {params.config} --dataset {wildcards.dataset}"
        " --run {wildcards.run} --threads {threads} 2> {log}"


# A text task of the dataset, by the models that the run trained.
rule task:
    input:
        plan.of_each_seed("model.safetensors"),
        plan.prepared("{dataset}"),
    output:
        plan.of_each_seed("{task}.json", "{task}.npz"),
    log:
        f"{plan.logs}/{{dataset}}/{{run}}/{{task}}.log",
    benchmark:
        f"{plan.logs}/{{dataset}}/{{run}}/{{task}}.jsonl"
    conda:
        "../../environment.yml"
    threads: plan.threads
    resources:
        mem_mb=plan.memory_mib,
        runtime=plan.minutes,
    params:
        code=plan.task_code,
        config=plan.file,
    message:
        "{wildcards.task} of {wildcards.run} on {wildcards.dataset}"
    shell:
        "kelbench task --config {params.config} --dataset {wildcards.dataset}"
        " --run {wildcards.run} --task {wildcards.task} --threads {threads} 2> {log}"
