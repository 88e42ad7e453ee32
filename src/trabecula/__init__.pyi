from trabecula.anatomy import Level as Level
from trabecula.errors import Defect as Defect
from trabecula.errors import Refusal as Refusal
from trabecula.errors import TrabeculaError as TrabeculaError
from trabecula.errors import WrongUsage as WrongUsage
from trabecula.public import compare as compare
from trabecula.public import load as load
from trabecula.public import read as read
from trabecula.public import screen as screen
from trabecula.public import table as table
from trabecula.public import values as values
from trabecula.public import vertebrae as vertebrae
from trabecula.public import write as write
from trabecula.quantity import Category as Category
from trabecula.quantity import Measurement as Measurement
from trabecula.records import Assessment as Assessment
from trabecula.records import Scan as Scan

__version__: str
__all__: list[str]
