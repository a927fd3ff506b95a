package output

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestShortIDs(t *testing.T) {
	t.Parallel()
	var ids []uuid.UUID
	for _, text := range []string{
		"01234567-89ab-cdef-0123-456789abcdef", "11234567-89ab-cdef-0123-456789abcdef", "11234567-89ac-cdef-0123-456789abcdef",
		"21234567-89ab-cdef-0123-456789abcdef", "21234567-79ab-cdef-0123-456789abcdef",
	} {
		ids = append(ids, uuid.MustParse(text))
	}
	require.Equal(t, []string{"01234567", "11234567-89ab", "11234567-89ac", "21234567-8", "21234567-7"}, shortIDs(ids))
	require.Equal(t, []string{ids[0].String(), ids[0].String()}, shortIDs([]uuid.UUID{ids[0], ids[0]}))
	require.Empty(t, shortIDs(nil))
}
