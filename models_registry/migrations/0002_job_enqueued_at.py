from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("models_registry", "0001_models_versions_aliases_jobs")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="enqueued_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
