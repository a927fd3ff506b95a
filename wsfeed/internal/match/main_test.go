package match

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/agentexec/agentexec/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
