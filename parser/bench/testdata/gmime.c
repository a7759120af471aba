/*
 * Reads the mails named on the command line with GMime, all of them as often as
 * each line of standard input says, and answers each line with the processor time
 * it took, in nanoseconds. It reads the usual header fields and decodes every part:
 * transfer encoding, and for text the charset.
 */
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void part(GMimeObject *parent, GMimeObject *object, gpointer data)
{
	GMimeStream *null = data;

	(void) parent;
	if (GMIME_IS_TEXT_PART(object)) {
		g_free(g_mime_text_part_get_text(GMIME_TEXT_PART(object)));
	} else if (GMIME_IS_PART(object)) {
		GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(object));

		(void) g_mime_part_get_filename(GMIME_PART(object));
		if (content != NULL)
			g_mime_data_wrapper_write_to_stream(content, null);
	}
}

static void read_mail(const char *octets, size_t size)
{
	GMimeStream *stream = g_mime_stream_mem_new_with_buffer(octets, size);
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
	GMimeStream *null = g_mime_stream_null_new();

	if (message != NULL) {
		(void) g_mime_message_get_subject(message);
		(void) g_mime_message_get_date(message);
		(void) g_mime_message_get_message_id(message);
		(void) internet_address_list_length(g_mime_message_get_from(message));
		(void) internet_address_list_length(g_mime_message_get_to(message));
		(void) internet_address_list_length(g_mime_message_get_cc(message));
		(void) internet_address_list_length(g_mime_message_get_reply_to(message));
		if (g_mime_message_get_mime_part(message) != NULL)
			g_mime_message_foreach(message, part, null);
		g_object_unref(message);
	}
	g_object_unref(null);
	g_object_unref(parser);
	g_object_unref(stream);
}

int main(int argc, char **argv)
{
	char **octets = calloc(argc, sizeof *octets);
	gsize *size = calloc(argc, sizeof *size);
	char line[32];

	g_mime_init();
	for (int i = 1; i < argc; i++)
		if (!g_file_get_contents(argv[i], &octets[i], &size[i], NULL))
			return 1;
	while (fgets(line, sizeof line, stdin) != NULL) {
		clock_t before = clock();

		for (long n = atol(line); n > 0; n--)
			for (int i = 1; i < argc; i++)
				read_mail(octets[i], size[i]);
		printf("%lld\n", (long long) (clock() - before) * (1000000000LL / CLOCKS_PER_SEC));
		fflush(stdout);
	}
	return 0;
}
