"""A service's configuration as the file that `serve run` and `serve deploy` take."""

import yaml

from metamath_ray.config import SolveConfig

NAME = "solve"
IMPORT_PATH = "services.solve:build_app"


def serve_file(config: SolveConfig) -> str:
    """Write what was set; the rest has its default.

    Neither is there what the cluster has: the keys of METAMATH_RAY_API_KEYS, its address.
    """
    content = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": config.http.host, "port": config.http.port},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        "applications": [
            {
                "name": NAME,
                "route_prefix": "/",
                "import_path": IMPORT_PATH,
                "args": config.model_dump(mode="json", exclude_unset=True, exclude={"http", "ray"}),
            }
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
