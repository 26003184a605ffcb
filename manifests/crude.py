from datagen.crude import CrudeRecipe  # temporary
