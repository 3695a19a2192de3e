package login

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// maxFollowers is how many streams of one challenge may be open: a few pages of one person.
// One more ends the oldest, so that a page that is opened again is never refused.
const maxFollowers = 4

// followers are the open streams, by challenge, the oldest first.
type followers struct {
	mu   sync.Mutex
	open map[uuid.UUID][]*follower
}

type follower struct{ end context.CancelFunc }

// follow begins a stream of a challenge. Its context ends when others came after it; leave
// must be called when the stream has ended.
func (f *followers) follow(ctx context.Context, challenge uuid.UUID) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	me := &follower{cancel}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = map[uuid.UUID][]*follower{}
	}
	all := append(f.open[challenge], me)
	if len(all) > maxFollowers {
		all[0].end()
		all = all[1:]
	}
	f.open[challenge] = all
	return ctx, func() {
		cancel()
		f.mu.Lock()
		defer f.mu.Unlock()
		var left []*follower
		for _, o := range f.open[challenge] {
			if o != me {
				left = append(left, o)
			}
		}
		if f.open[challenge] = left; len(left) == 0 {
			delete(f.open, challenge)
		}
	}
}
