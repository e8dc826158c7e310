from toy_demand.shape import Able

RECIPE = Able("weekly", weekly=True)
