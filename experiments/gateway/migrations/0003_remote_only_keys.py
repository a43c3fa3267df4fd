from django.db import migrations, models


class Migration(migrations.Migration):
    """Keys whose holders may not see the targeting."""

    dependencies = [("gateway", "0002_roles")]
    operations = [
        migrations.AddField(
            model_name="apikey",
            name="remote_only",
            field=models.BooleanField(
                default=False,
                help_text="For browsers that must not see how shoppers are targeted.",
                verbose_name="remote evaluation only",
            ),
        ),
    ]
