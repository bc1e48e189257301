import sys
from pathlib import Path

# The builders and fakes are shared by unit, component, and integration tests.
sys.path.append(str(Path(__file__).parent))
