"""What the synthetic shop sells, in words."""

DEPARTMENTS: dict[str, tuple[str, ...]] = {
    "Kitchen": ("Teapots", "Mugs", "Baking tins", "Knives", "Storage jars"),
    "Living room": ("Cushions", "Candles", "Picture frames", "Lamps", "Throws"),
    "Garden": ("Planters", "Bird feeders", "Garden tools", "Seeds", "Lanterns"),
    "Bath": ("Towels", "Soaps", "Bath mats", "Mirrors", "Baskets"),
    "Children": ("Puzzles", "Soft toys", "Picture books", "Craft sets", "Night lights"),
    "Travel": ("Backpacks", "Water bottles", "Blankets", "Toiletry bags", "Notebooks"),
}
MATERIALS = (
    "stoneware",
    "linen",
    "oak",
    "brass",
    "cotton",
    "glass",
    "enamel",
    "willow",
    "bamboo",
    "wool",
)
STYLES = (
    "plain",
    "striped",
    "floral",
    "vintage",
    "modern",
    "rustic",
    "bright",
    "dark",
    "pastel",
    "patterned",
)
SIZES = ("small", "medium", "large", "set of two", "set of four")
OPINIONS = (
    "Just as described.",
    "Lovely, would buy again.",
    "Smaller than I thought.",
    "Arrived quickly.",
    "The colour is warmer than in the picture.",
)
