"""Metrics that come with the product (pure); a shop adds its own beside them."""

from dataclasses import dataclass

import msgspec

from experiments.metrics.definitions import (
    Conversion,
    Count,
    Filter,
    MetricDefinition,
    Sum,
)

MONEY_UNIT = "GBP"


@dataclass(frozen=True)
class Preset:
    """A metric ready to use: what people call it, what it says, how it is computed."""

    key: str
    name: str
    description: str
    definition: MetricDefinition

    def definition_in(self, currency: str) -> MetricDefinition:
        """Return the definition with money in a shop's currency (``EUR``)."""
        if self.definition.unit != MONEY_UNIT:
            return self.definition
        return msgspec.structs.replace(self.definition, unit=currency)


PRESETS = {
    preset.key: preset
    for preset in (
        Preset(
            "recommended_click_share",
            "Shoppers who clicked a recommendation",
            "Share of exposed shoppers with at least one click on a recommended item "
            "at the placement.",
            Conversion(events=("click",), attribution="recommended"),
        ),
        Preset(
            "revenue_per_shopper",
            "Revenue per shopper",
            "Value of all purchases less refunds, over all exposed shoppers; those who "
            "bought nothing count as zero.",
            Sum(events=("purchase",), net_of_refunds=True, unit=MONEY_UNIT),
        ),
        Preset(
            "fallback_share",
            "Shoppers who got an empty or fallback list",
            "Share of exposed shoppers with at least one list at the placement that "
            "was empty or filled by the fallback.",
            Conversion(
                events=("served",),
                filters=(Filter("fallback", "is_not", "none"),),
                at_placement=True,
                direction="decrease",
            ),
        ),
        Preset(
            "orders_per_shopper",
            "Orders per shopper",
            "Different orders over all exposed shoppers.",
            Count(events=("purchase",), distinct="order_id"),
        ),
        Preset(
            "clicks_per_shopper",
            "Clicks on recommendations per shopper",
            "Clicks on recommended items at the placement over all exposed shoppers.",
            Count(events=("click",), attribution="recommended"),
        ),
    )
}
