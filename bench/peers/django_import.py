"""A file of contacts by django-import-export: `python django_import.py URL FILE [--checked]`.

As its guide to bulk imports says: `bulk_create` in batches, no differences, no look-up of what may be there (every row
is new). That checks neither lengths nor addresses, and one key that is there already ends the import without saying
which; `--checked` has each row validated by its model, as an import has to that tells what is wrong with each. The
table is `target`. Prints seconds, CPU seconds and the number of new rows.
"""

import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.conf import settings


def database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "HOST": parts.hostname,
        "PORT": parts.port,
    }


settings.configure(
    DATABASES={"default": database(sys.argv[1])}, INSTALLED_APPS=["import_export"], USE_TZ=True, TIME_ZONE="UTC"
)
django.setup()

from django.db import models  # noqa: E402 - what follows needs the settings
from import_export import fields, resources, widgets  # noqa: E402
from tablib import Dataset  # noqa: E402


class Target(models.Model):
    id = models.BigIntegerField()
    first = models.CharField(max_length=100)
    last = models.CharField(max_length=100)
    email = models.EmailField(primary_key=True)
    phone = models.CharField(max_length=20)
    born = models.DateField()
    joined = models.DateTimeField()
    balance = models.DecimalField(max_digits=12, decimal_places=2)
    score = models.BigIntegerField()
    active = models.BooleanField()
    city = models.CharField(max_length=200)
    note = models.TextField()

    class Meta:
        app_label = "bench"
        db_table = "target"
        managed = False


class Targets(resources.ModelResource):
    joined = fields.Field("joined", "joined", widgets.DateTimeWidget("%Y-%m-%dT%H:%M:%SZ"))

    class Meta:
        model = Target
        import_id_fields = ("email",)
        use_bulk = True
        batch_size = 1000
        skip_diff = True
        force_init_instance = True
        use_transactions = True
        clean_model_instances = "--checked" in sys.argv


def main() -> None:
    begun, cpu = time.perf_counter(), time.process_time()
    data = Dataset().load(Path(sys.argv[2]).read_text(encoding="utf-8"), format="csv")
    result = Targets().import_data(data, raise_errors=True)
    print(time.perf_counter() - begun, time.process_time() - cpu, result.totals["new"])


if __name__ == "__main__":
    main()
