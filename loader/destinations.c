/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader/destinations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader/batch.h"
#include "state/cleanup.h"
#include "state/parse.h"

void destinations_done(struct destinations *set)
{
	free(set->entries);
	*set = DESTINATIONS_NONE;
}

static int compare_keys(const struct isomer_destination_key *a,
			const struct isomer_destination_key *b)
{
	int r = strcmp(a->label, b->label);

	if (r == 0)
		r = a->domain - b->domain;
	return r ? r : a->protocol - b->protocol;
}

static int compare(const void *a, const void *b)
{
	return compare_keys(&((const struct destination *)a)->key,
			    &((const struct destination *)b)->key);
}

int destinations_read(const struct dispatcher *d, struct destinations *ret)
{
	CLEANUP_FREE void *keys = NULL, *values = NULL;
	struct destination *entries;
	size_t n;
	int r;

	r = batch_read_hash(d->destinations_fd, sizeof(struct isomer_destination_key),
			    sizeof(struct isomer_destination), &keys, &values, &n);
	if (r < 0)
		return r;
	entries = calloc(n ? n : 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		entries[i].key = ((struct isomer_destination_key *)keys)[i];
		entries[i].key.label[ISOMER_LABEL_MAX] = '\0';
		entries[i].id = ((struct isomer_destination *)values)[i].id;
	}
	qsort(entries, n, sizeof(*entries), compare);

	*ret = (struct destinations){ .entries = entries, .n = n };
	return 0;
}

void destination_key_init(struct isomer_destination_key *key, const char *label, uint8_t domain,
			  uint8_t protocol)
{
	memset(key, 0, sizeof(*key)); /* the kernel hashes every byte */
	snprintf(key->label, sizeof(key->label), "%s", label);
	key->domain = domain;
	key->protocol = protocol;
}

const struct destination *destinations_find(const struct destinations *set, const char *label,
					    uint8_t domain, uint8_t protocol)
{
	struct destination wanted;

	if (set->n == 0)
		return NULL;
	destination_key_init(&wanted.key, label, domain, protocol);
	return bsearch(&wanted, set->entries, set->n, sizeof(*set->entries), compare);
}

const struct destination **destinations_by_id(const struct destinations *set, uint32_t n_ids)
{
	const struct destination **table = calloc(n_ids ? n_ids : 1, sizeof(*table));

	for (size_t i = 0; table && i < set->n; i++)
		if (set->entries[i].id < n_ids)
			table[set->entries[i].id] = &set->entries[i];
	return table;
}

int destinations_add(struct destinations *set, const struct destination *entries, size_t n)
{
	struct destination *grown = reallocarray(set->entries, set->n + n, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	memcpy(&grown[set->n], entries, n * sizeof(*entries));
	set->entries = grown;
	set->n += n;
	qsort(set->entries, set->n, sizeof(*set->entries), compare);
	return 0;
}

void destination_text(const struct isomer_destination_key *key, char ret[DESTINATION_TEXT_SIZE])
{
	snprintf(ret, DESTINATION_TEXT_SIZE, "%s:%s:%s", key->label,
		 isomer_domain_name(key->domain), isomer_protocol_name(key->protocol));
}
