from metamath_ray.config import ServeEngineConfig
from metamath_ray.distributed.deployment import llm_config_arguments, resolve_dtype


def test_a_cpu_computes_in_float32_reads_prompts_in_one_piece_and_shares_short_ones() -> None:
    arguments = llm_config_arguments(ServeEngineConfig(kv_cache_gib=3), model_path="/model")
    assert arguments["engine_kwargs"]["dtype"] == "float32"
    assert arguments["engine_kwargs"]["enable_chunked_prefill"] is False
    assert arguments["engine_kwargs"]["block_size"] == 32
    assert arguments["engine_kwargs"]["enforce_eager"] is True
    assert arguments["placement_group_config"] == {"bundles": [{"CPU": 1}]}
    assert arguments["runtime_env"]["env_vars"]["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert "accelerator_type" not in arguments


def test_a_gpu_keeps_the_models_own_format() -> None:
    config = ServeEngineConfig(accelerator_type="H100", tensor_parallel_size=2, num_replicas=4, max_model_len=4096)
    arguments = llm_config_arguments(config, model_path="org/model")
    assert resolve_dtype(config) == "auto"
    assert arguments["accelerator_type"] == "H100"
    assert arguments["engine_kwargs"]["tensor_parallel_size"] == 2
    assert arguments["engine_kwargs"]["max_model_len"] == 4096
    assert arguments["deployment_config"]["num_replicas"] == 4
    assert "placement_group_config" not in arguments


def test_a_models_own_sampling_defaults_stay_out() -> None:
    arguments = llm_config_arguments(ServeEngineConfig(), model_path="/model")
    assert arguments["engine_kwargs"]["generation_config"] == "vllm"


def test_vllm_keeps_statistics_for_who_asks_for_them() -> None:
    assert llm_config_arguments(ServeEngineConfig(), model_path="/model")["engine_kwargs"]["disable_log_stats"] is True
    wanted = ServeEngineConfig(engine_kwargs={"disable_log_stats": False})
    assert llm_config_arguments(wanted, model_path="/model")["engine_kwargs"]["disable_log_stats"] is False


def test_a_users_engine_arguments_win() -> None:
    config = ServeEngineConfig(engine_kwargs={"enable_prefix_caching": False, "dtype": "float16"})
    engine_kwargs = llm_config_arguments(config, model_path="/model")["engine_kwargs"]
    assert engine_kwargs["enable_prefix_caching"] is False
    assert engine_kwargs["dtype"] == "float16"


def test_no_prompt_reaches_a_log() -> None:
    arguments = llm_config_arguments(ServeEngineConfig(), model_path="/model")
    assert arguments["deployment_config"]["logging_config"]["enable_access_log"] is False
    assert "enable_log_requests" not in arguments["engine_kwargs"]


def test_a_served_name_has_no_colon() -> None:
    arguments = llm_config_arguments(ServeEngineConfig(model="embedded:teacher"), model_path="/model")
    assert arguments["model_loading_config"] == {"model_id": "embedded-teacher", "model_source": "/model"}
