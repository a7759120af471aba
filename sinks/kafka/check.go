package kafka

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postferry/postferry/internal/dial"
	"github.com/postferry/postferry/sinks"
	"github.com/postferry/postferry/sinks/queue"
)

// checkTimeout bounds a check.
const checkTimeout = 15 * time.Second

// Preview implements sinks.Previewer.
func (s *Sink) Preview(d *sinks.Delivery) (sinks.Request, error) {
	r, made, err := s.record(d)
	if err != nil {
		return sinks.Request{}, err
	}
	defer made.Release()
	header := http.Header{}
	for _, h := range r.Headers {
		header[h.Key] = append(header[h.Key], string(h.Value))
	}
	to := s.brokers + " " + r.Topic
	if r.Key != nil {
		to += " key " + dial.Printable(string(r.Key))
	}
	return sinks.Request{Method: "PRODUCE", URL: to, Header: header, Body: append([]byte(nil), r.Value...)}, nil
}

// Check implements sinks.Checker: it connects, signs in, and looks at the topic. It
// produces nothing.
func (s *Sink) Check(ctx context.Context) []sinks.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := s.reach(ctx); err != nil {
		f := queue.NotConnected(err, s.mask, s.advice(err))
		if isSignIn(err) {
			f.Step = "sign-in"
		}
		return []sinks.Finding{f}
	}
	return []sinks.Finding{queue.Connected(s.brokers, s.secure, s.options.Username), s.checkTopic(ctx)}
}

// checkTopic says where records go, and how many have to have them.
func (s *Sink) checkTopic(ctx context.Context) sinks.Finding {
	if !s.topic.Fixed() {
		return sinks.Finding{Step: "topic", OK: true, Said: "each mail makes its topic, so whether it is there is seen when it is delivered"}
	}
	topic := s.options.Topic
	ask := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &topic
	ask.Topics = []kmsg.MetadataRequestTopic{one}
	answer, err := ask.RequestWith(ctx, s.client)
	if err == nil && len(answer.Topics) == 1 {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	switch {
	case err != nil:
		return sinks.Finding{Step: "topic", Said: fmt.Sprintf("topic %s: %s", topic, s.clean(err)), Fix: "make the topic (kafka-topics.sh --create), and let the user write to it"}
	case len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) == 0:
		return sinks.Finding{Step: "topic", Said: "topic " + topic + " has no partitions", Fix: "make the topic: kafka-topics.sh --create"}
	}
	partitions := answer.Topics[0].Partitions
	replicas, inSync := len(partitions[0].Replicas), len(partitions[0].ISR)
	for _, p := range partitions {
		inSync = min(inSync, len(p.ISR))
	}
	said := fmt.Sprintf("topic %s has %d partitions, %d replicas, of which %d are in sync at least", topic, len(partitions), replicas, inSync)
	if least, ok := s.minInSync(ctx, topic); ok {
		said += "; min.insync.replicas is " + least
	}
	return sinks.Finding{Step: "topic", OK: true, Said: said}
}

// minInSync is that setting of the topic, where the user may see it.
func (s *Sink) minInSync(ctx context.Context, topic string) (string, bool) {
	ask := kmsg.NewPtrDescribeConfigsRequest()
	about := kmsg.NewDescribeConfigsRequestResource()
	about.ResourceType, about.ResourceName, about.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{"min.insync.replicas"}
	ask.Resources = []kmsg.DescribeConfigsRequestResource{about}
	answer, err := ask.RequestWith(ctx, s.client)
	if err != nil {
		return "", false
	}
	for _, r := range answer.Resources {
		for _, c := range r.Configs {
			if c.Name == "min.insync.replicas" && c.Value != nil {
				return dial.Printable(*c.Value), true
			}
		}
	}
	return "", false
}
