"""The catalogue's and the shoppers' present state; what could not be logged."""

from django.db import models


class Item(models.Model):
    """A product as it is now; its history lies in the lake table ``items``.

    Attributes:
        category: Path from broad to narrow, parts joined by `` > ``.
        price: In ``currency``, as shown to shoppers.
    """

    item_id = models.CharField(max_length=200, primary_key=True)
    title = models.CharField(max_length=500, blank=True, default="")
    description = models.TextField(blank=True, default="")
    category = models.CharField(max_length=500, blank=True, default="")
    price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    in_stock = models.BooleanField(default=True)
    available_from = models.DateTimeField(null=True, blank=True)
    image_url = models.URLField(max_length=2000, blank=True, default="")
    url = models.URLField(max_length=2000, blank=True, default="")
    attributes = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("item_id",)

    def __str__(self) -> str:
        return self.title or self.item_id


class Unit(models.Model):
    """A shopper's attributes as the shop states them now, under the hashed key."""

    unit_key = models.BinaryField(primary_key=True, max_length=16)
    attributes = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return bytes(self.unit_key).hex()


class Outbox(models.Model):
    """A catalogue or unit change on its way to the lake, saved with the change."""

    table = models.CharField(max_length=20)
    row = models.JSONField()
    valid_from = models.DateTimeField()

    class Meta:
        verbose_name_plural = "outbox"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.table} #{self.pk}"


class DeadLetter(models.Model):
    """A stream entry the collector could not turn into rows, kept with the reason."""

    shard = models.CharField(max_length=100)
    entry_id = models.CharField(max_length=50)
    reason = models.TextField()
    payload = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("shard", "entry_id"), name="one_dead_letter_per_entry"
            ),
        )

    def __str__(self) -> str:
        return f"{self.shard} {self.entry_id}"
