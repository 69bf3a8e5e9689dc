import importlib

import pytest

PUBLIC = {
    "metamath_ray.augmentation": {
        "PlanSummary", "apply_mask", "find_masks", "fingerprint", "plan_items", "run_item", "split_last_question",
    },
    "metamath_ray.datasets": {
        "Contamination", "ContaminationKind", "Decontaminator", "ProblemReading", "ProblemSource", "SourceFormat",
        "read_problems",
    },
    "metamath_ray.export": {
        "AugmentationCounts", "ExportSummary", "MetaMathQARow", "Rejected", "Selected", "read_rows", "row_of",
        "row_type", "select_rows", "solved_problem_ids", "write_export",
    },
    "metamath_ray.grading": {
        "Grade", "GradeVerdict", "Verdict", "check_canaries", "compare", "extract_answer", "grade", "rejection",
    },
    "metamath_ray.inference": {
        "CompletionEngine", "CompletionRequest", "LabelLogprobs", "LabelRequest", "LabelScorer", "RetryingEngine",
        "RetryingLabelScorer",
    },
    "metamath_ray.prompts": {
        "Demonstration", "PromptFormat", "PromptSet", "Renderer", "Task", "TaskPrompt", "Tokenizer",
        "VerifierPrompt", "VerifierRenderer", "load_prompt_set", "load_tokenizer", "load_verifier_prompt",
    },
    "metamath_ray.reranking": {
        "AdaptiveSampling", "Choice", "Strategy", "choose", "cluster_answers", "next_round", "probability_of_staying",
        "samples_to_score", "should_stop",
    },
    "metamath_ray.solving": {
        "Candidate", "ClustersChanged", "Event", "SampleDone", "SampleScored", "ScoredCluster", "Solution",
        "SolveRequest", "Solved", "Solver", "StopReason", "Usage", "Verifier", "check_golden_scores",
        "scored_clusters",
    },
    "metamath_ray.evaluation": {
        "Evaluation", "Precision", "Results", "SampleSet", "evaluate", "from_json", "open_sample_set", "read_batches",
        "to_json",
    },
    "metamath_ray.loop": {
        "CONFIGURATION_FILE", "LoopReport", "StepReport", "StepState", "loop_status", "loop_table", "run_loop",
    },
    "metamath_ray.verifier": {
        "GradedSample", "Pair", "Selection", "VerifierQuality", "graded_sample", "log_odds", "measure",
        "question_disjoint_split", "score", "select_examples", "usable",
    },
}  # fmt: skip


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_change_only_on_purpose(module: str) -> None:
    assert set(importlib.import_module(module).__all__) == PUBLIC[module]
