from toy_demand.shape import Shape

RECIPE = Shape("flat")
