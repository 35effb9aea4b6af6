"""Names for the admin and for permissions; no table is made."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Challenge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "verification",
                "verbose_name_plural": "verifications",
                "permissions": (("cancel_challenge", "Can end a verification"),),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "change by an operator",
                "verbose_name_plural": "changes by operators",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Sending",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "sending",
                "verbose_name_plural": "sending",
                "permissions": (
                    ("pause_sending", "Can pause all sending and go on"),
                    ("drain_sending", "Can take an instance out of use and back"),
                ),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="WaitingSend",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "waiting send",
                "verbose_name_plural": "waiting sends",
                "permissions": (
                    ("requeue_waitingsend", "Can make a waiting send due now"),
                    ("drop_waitingsend", "Can end a waiting send"),
                ),
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
    ]
