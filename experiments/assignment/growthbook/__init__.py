"""GrowthBook's features and experiments, evaluated as its SDKs do (pure).

``features.FeatureSet`` reads an SDK payload. What a server does not do is left out:
URL targeting, redirects, visual changes, ``include`` functions.
References: GrowthBook SDK specification 0.8.0; JavaScript SDK 1.8.0.
"""
