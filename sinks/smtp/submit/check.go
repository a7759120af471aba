package submit

import "context"

// Check opens a connection of its own, signs in, and leaves in order. A dial.Record
// in ctx is told of each step. Errors are those of Send.
func (c *Client) Check(ctx context.Context) (Offers, error) {
	x, err := c.fresh(ctx)
	if err != nil {
		return Offers{}, err
	}
	defer x.quit()
	return x.offered(), nil
}
