"""Django's settings; what may differ between shops comes from the environment."""

import os
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

import django_stubs_ext
from django.templatetags.static import static
from django.urls import reverse_lazy

from config.embedded.place import runtime_path
from config.env import Environment, SettingError

django_stubs_ext.monkeypatch()

ENV = Environment(os.environ)
BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = ENV.text("SHIPWORTHY_ENVIRONMENT")
PRODUCTION = ENVIRONMENT == "production"
DATA_DIR = (BASE_DIR / ENV.text("SHIPWORTHY_DATA_DIR")).resolve()
RUNTIME_DIR = runtime_path(DATA_DIR)  # where the embedded servers have their sockets


def _secret(name: str) -> str:
    """A secret from the environment, or outside production one made and kept."""
    value = ENV.text(name)
    if value:
        if len(value) < 32:
            raise SettingError(
                f"{name} has {len(value)} characters; allowed: 32 or more."
            )
        return value
    if PRODUCTION:
        raise SettingError(f"{name} is empty; production needs 32 characters or more.")
    path = DATA_DIR / "secrets" / name.lower()
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = secrets.token_urlsafe(48)
        try:
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(made)
        except FileExistsError:  # another process of ours was first
            return path.read_text().strip()
        return made


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise SettingError(
            "DATABASE_URL does not start with postgresql://; only PostgreSQL is used."
        )
    query = dict(part.split("=", 1) for part in parts.query.split("&") if "=" in part)
    host = unquote(query.get("host", parts.hostname or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": query.get("port", str(parts.port or "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }


SECRET_KEY = _secret("SHIPWORTHY_SECRET_KEY")
UNIT_KEY = _secret("SHIPWORTHY_UNIT_KEY")
DEBUG = False
ALLOWED_HOSTS = ENV.items("SHIPWORTHY_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = ENV.items("SHIPWORTHY_TRUSTED_ORIGINS")

DATABASE_URL = ENV.text("DATABASE_URL")
REDIS_URL = ENV.text("REDIS_URL") or f"unix://{RUNTIME_DIR}/redis.sock"
LAKE_URL = ENV.text("LAKE_URL") or str(DATA_DIR / "lake")
ARTIFACTS_URL = ENV.text("ARTIFACTS_URL") or str(DATA_DIR / "artifacts")
PLAN_PATH = DATA_DIR / "plan.json"
ARTIFACT_CACHE = DATA_DIR / "artifact-cache"
SITE_SOCKET = ENV.text("SHIPWORTHY_SITE_SOCKET") or str(RUNTIME_DIR / "site.sock")
STREAM_CAP = ENV.count("SHIPWORTHY_STREAM_CAP")
STREAM_SHARDS = ENV.count("SHIPWORTHY_STREAM_SHARDS")
STREAMS_PER_KEY = ENV.count("SHIPWORTHY_STREAMS_PER_KEY")
PLAN_POLL_SECONDS = ENV.number("SHIPWORTHY_PLAN_POLL_SECONDS")
WITHDRAWN_SECONDS = ENV.number("SHIPWORTHY_WITHDRAWN_SECONDS")
if PRODUCTION and not (DATABASE_URL and ENV.text("REDIS_URL")):
    raise SettingError(
        "DATABASE_URL or REDIS_URL is empty; production refuses embedded servers."
    )
DATABASES = {
    "default": _database(
        DATABASE_URL
        or f"postgresql://shipworthy@/shipworthy?host={RUNTIME_DIR}/postgres"
    )
}

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "django_filters",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "config.apps.ConfigConfig",
    "models_registry",
    "experiments.gateway",
    "experiments.events",
    "experiments.metrics",
    "experiments.design",
    "experiments.assignment",
    "experiments.analysis",
    "experiments.decisions",
    "scoring.training",
    "scoring.serving",
]
MIDDLEWARE = [
    "config.security.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.security.ContentSecurityPolicyMiddleware",
    "axes.middleware.AxesMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_VERBOSE = False
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
USE_THOUSAND_SEPARATOR = True
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns of an absent one
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_HTTPS = ENV.flag("SHIPWORTHY_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_SSL_REDIRECT = _HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "experiments.gateway.api.authentication.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "experiments.gateway.api.permissions.ManageScopeOrRole"
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["experiments.gateway.api.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "PAGE_SIZE": 100,
    "EXCEPTION_HANDLER": "config.errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Shipworthy",
    "DESCRIPTION": "Find out which recommendation model deserves to ship.",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SERVE_AUTHENTICATION": [
        "experiments.gateway.api.authentication.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "experiments.gateway.schema.add_storefront_routes",
    ],
    "ENUM_NAME_OVERRIDES": {"JobStateEnum": "models_registry.models.JobState"},
}

# What a lower wing needs of a higher one, by dotted name (DESIGN section 9).
PLAN_PUBLISHER = "experiments.assignment.services.request_publish"
CONDITION_CHECK = "experiments.assignment.conditions.problem_with"
ANALYSIS_VERDICT = "experiments.decisions.verdict.verdict_of"

JOB_TASKS = {
    "train": ("scoring.training.tasks.train", "train"),
    "analyse": ("experiments.analysis.tasks.analyse", "analyse"),
}

CELERY_BROKER_URL = (
    REDIS_URL.replace("unix://", "redis+socket://")
    if REDIS_URL.startswith("unix://")
    else REDIS_URL
)
UNFOLD = {
    "SITE_TITLE": "Shipworthy",
    "SITE_HEADER": "Shipworthy",
    "SITE_SYMBOL": "directions_boat",
    "SITE_URL": "/",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: static("shipworthy/icon.svg"),
        },
    ],
    "SHOW_HISTORY": True,
    "STYLES": [lambda _request: static("shipworthy/admin.css")],
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "title": "Test",
                "items": [
                    {
                        "title": "Experiments",
                        "icon": "science",
                        "link": reverse_lazy("admin:design_experiment_changelist"),
                    },
                    {
                        "title": "Placements",
                        "icon": "view_quilt",
                        "link": reverse_lazy("admin:design_placement_changelist"),
                    },
                    {
                        "title": "Layers",
                        "icon": "layers",
                        "link": reverse_lazy("admin:design_layer_changelist"),
                    },
                    {
                        "title": "Holdouts",
                        "icon": "lock_person",
                        "link": reverse_lazy("admin:design_holdout_changelist"),
                    },
                    {
                        "title": "Metrics",
                        "icon": "monitoring",
                        "link": reverse_lazy("admin:metrics_metric_changelist"),
                    },
                    {
                        "title": "Decisions",
                        "icon": "gavel",
                        "link": reverse_lazy("admin:decisions_decision_changelist"),
                    },
                ],
            },
            {
                "title": "Learn",
                "separator": True,
                "items": [
                    {
                        "title": "Models",
                        "icon": "model_training",
                        "link": reverse_lazy("admin:models_registry_model_changelist"),
                    },
                    {
                        "title": "Jobs",
                        "icon": "manufacturing",
                        "link": reverse_lazy("admin:models_registry_job_changelist"),
                    },
                    {
                        "title": "Catalogue",
                        "icon": "inventory_2",
                        "link": reverse_lazy("admin:events_item_changelist"),
                    },
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    {
                        "title": "API keys",
                        "icon": "key",
                        "link": reverse_lazy("admin:gateway_apikey_changelist"),
                    },
                    {
                        "title": "People",
                        "icon": "group",
                        "link": reverse_lazy("admin:auth_user_changelist"),
                    },
                ],
            },
        ],
    },
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": ENV.text("SHIPWORTHY_LOG_LEVEL"),
    },
}
