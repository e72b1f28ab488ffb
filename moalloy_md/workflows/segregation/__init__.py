"""``moalloy simulate segregation``: where dopants go at boundaries, surfaces and voids."""
