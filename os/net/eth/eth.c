/* SPDX-License-Identifier: ISC */
/*
 * Interfaces: the transmit queue, the receive batch, offload headers, the loopback.
 *
 * True whenever no function of this file is running: (1) txf[i] describes txp[i] for i < tx_count; (2) rxb[i] is NULL or an
 * unused buffer of rx_class that rxf[i] describes; (3) loop_tail points at the last next pointer of the loop_head list.
 * Source: IEEE 802.3 (Ethernet II framing); virtio 1.2 5.1.6 for struct vnet_hdr.
 */
#include "base/assert.h"
#include "os/net/eth/eth.h"

#define LOOPBACK_MTU 65520u /* + Ethernet header and alignment stay inside a jumbo block */
#define RX_ALIGN 2u	    /* so that the IP header behind 14 bytes is aligned to 4 */

static int default_tx(void *arg, const struct plat_frame *f, unsigned n)
{
	(void)arg;
	return plat_frames_tx(f, n);
}

static int default_rx(void *arg, struct plat_frame *f, unsigned n)
{
	(void)arg;
	return plat_frames_rx(f, n);
}

void netif_init_eth(struct netif *nif, struct netbuf_pool *pool, const struct netif_port *port, struct mac mac, unsigned mtu,
		    uint32_t flags)
{
	memset(nif, 0, sizeof(*nif));
	nif->pool = pool;
	if (port)
		nif->port = *port;
	if (!nif->port.tx)
		nif->port.tx = default_tx;
	if (!nif->port.rx)
		nif->port.rx = default_rx;
	nif->mac = mac;
	nif->mtu = MIN(MAX(mtu, 576u), LOOPBACK_MTU); /* RFC 791: every link carries 576 */
	nif->flags = flags & (NETIF_CSUM | NETIF_TSO4);
	if (!(flags & NETIF_CSUM))
		nif->flags &= ~(uint32_t)NETIF_TSO4; /* segments need checksums made below */
	nif->rx_class = (nif->flags & NETIF_TSO4) || nif->mtu > 1500 ? NETBUF_JUMBO : NETBUF_SMALL;
	nif->loop_tail = &nif->loop_head;
}

void netif_init_loopback(struct netif *nif, struct netbuf_pool *pool)
{
	netif_init_eth(nif, pool, NULL, (struct mac){{0}}, LOOPBACK_MTU, 0);
	nif->flags = NETIF_LOOPBACK;
}

void netif_release(struct netif *nif)
{
	for (unsigned i = 0; i < nif->tx_count; i++)
		packet_free(nif->txp[i]);
	nif->tx_count = 0;
	for (unsigned i = 0; i < NETIF_RX_BATCH; i++) {
		netbuf_put(nif->rxb[i]);
		nif->rxb[i] = NULL;
	}
	while (nif->loop_head) {
		struct netbuf *b = nif->loop_head;

		nif->loop_head = b->next;
		netbuf_put(b);
	}
	nif->loop_tail = &nif->loop_head;
	nif->loop_count = 0;
}

/* The loopback's own frames go to its receive queue in one row; no checksum is made or checked. */
static void loop_tx(struct netif *nif, struct packet *k)
{
	size_t n = packet_len(k);
	struct netbuf *b;

	if (n > nif->mtu || nif->loop_count >= NETIF_LOOP_MAX) {
		nif->drops[NETIF_DROP_TX_FULL]++;
		goto free_packet;
	}
	b = netbuf_new_for(nif->pool, n);
	if (!b) {
		nif->drops[NETIF_DROP_NO_MEMORY]++;
		goto free_packet;
	}
	packet_copy(k, b->data);
	b->len = (uint32_t)n;
	b->flags = NETBUF_CSUM_OK;
	*nif->loop_tail = b;
	nif->loop_tail = &b->next;
	nif->loop_count++;
	nif->tx_frames++;
	nif->tx_bytes += n;
free_packet:
	packet_free(k);
}

static void eth_header(struct netif *nif, struct packet *k, uint16_t ethertype, struct mac to)
{
	uint8_t *h = packet_push(k, ETH_HEADER_BYTES);

	memcpy(h, to.b, 6);
	memcpy(h + 6, nif->mac.b, 6);
	store_be16(h + 12, ethertype);
}

/* Describe a finished packet for the platform. */
static void frame_fill(struct netif *nif, struct packet *k, struct plat_frame *f)
{
	f->hdr = (struct vnet_hdr){0};
	if (k->csum_at && (nif->flags & NETIF_CSUM)) {
		f->hdr.flags = VNET_F_NEEDS_CSUM;
		f->hdr.csum_start = (uint16_t)(k->csum_at - k->head_off);
		f->hdr.csum_offset = (uint16_t)(k->csum_field - k->csum_at);
		if (k->gso_size) {
			f->hdr.gso_type = VNET_GSO_TCPV4;
			f->hdr.gso_size = k->gso_size;
			f->hdr.hdr_len = (uint16_t)packet_head_len(k);
		}
	} else {
		packet_checksum(k);
	}
	f->iov[0] = (struct plat_iov){k->head + k->head_off, packet_head_len(k)};
	for (unsigned i = 0; i < k->piece_count; i++)
		f->iov[i + 1] = (struct plat_iov){(void *)(uintptr_t)k->piece[i].base, k->piece[i].len};
	f->iov_count = k->piece_count + 1u;
	f->len = packet_len(k);
}

void netif_tx(struct netif *nif, struct packet *k, uint16_t ethertype, struct mac to)
{
	if (nif->flags & NETIF_LOOPBACK) {
		loop_tx(nif, k);
		return;
	}
	if (nif->tx_count == NETIF_TXQ)
		netif_flush(nif);
	if (nif->tx_count == NETIF_TXQ) {
		nif->drops[NETIF_DROP_TX_FULL]++;
		packet_free(k);
		return;
	}
	eth_header(nif, k, ethertype, to);
	frame_fill(nif, k, &nif->txf[nif->tx_count]);
	nif->tx_bytes += nif->txf[nif->tx_count].len;
	nif->txp[nif->tx_count++] = k;
}

bool netif_flush(struct netif *nif)
{
	unsigned done;
	int n;

	if (!nif->tx_count)
		return true;
	n = nif->port.tx(nif->port.arg, nif->txf, nif->tx_count);
	if (n < 0) {
		nif->drops[NETIF_DROP_TX_DOWN] += nif->tx_count;
		done = nif->tx_count;
	} else {
		done = MIN((unsigned)n, nif->tx_count);
		nif->tx_frames += done;
	}
	for (unsigned i = 0; i < done; i++)
		packet_free(nif->txp[i]);
	nif->tx_count -= done;
	if (!nif->tx_count)
		return true;
	memmove(nif->txp, nif->txp + done, nif->tx_count * sizeof(nif->txp[0]));
	memmove(nif->txf, nif->txf + done, nif->tx_count * sizeof(nif->txf[0]));
	return false;
}

static void drop(struct netif *nif, struct netbuf *b, enum netif_drop why)
{
	nif->drops[why]++;
	netbuf_put(b);
}

/* What the layer below says about checksum and segments. False: it cannot be. */
static bool offload_parse(const struct netif *nif, const struct vnet_hdr *h, struct netbuf *b)
{
	if (!(nif->flags & NETIF_CSUM))
		return true;
	if ((h->flags & VNET_F_NEEDS_CSUM) && (size_t)h->csum_start + h->csum_offset + 2 > b->len)
		return false;
	if (h->flags & (VNET_F_NEEDS_CSUM | VNET_F_DATA_VALID))
		b->flags |= NETBUF_CSUM_OK;
	if ((h->gso_type & 0x7f) == VNET_GSO_TCPV4) /* bit 7: ECN */
		b->gso_size = h->gso_size;
	return true;
}

/* One Ethernet frame in b. */
static void eth_input(struct netif *nif, const struct vnet_hdr *h, struct netbuf *b)
{
	uint16_t type;

	nif->rx_frames++;
	nif->rx_bytes += b->len;
	if (b->len < ETH_HEADER_BYTES) {
		drop(nif, b, NETIF_DROP_SHORT);
		return;
	}
	/* Group addresses (bit 0 of the first byte) are broadcast or multicast. */
	if (!(b->data[0] & 1) && memcmp(b->data, nif->mac.b, 6) != 0) {
		drop(nif, b, NETIF_DROP_ADDRESS);
		return;
	}
	type = load_be16(b->data + 12);
	if (type != ETH_TYPE_IP4 && type != ETH_TYPE_ARP) {
		drop(nif, b, NETIF_DROP_TYPE);
		return;
	}
	if (!offload_parse(nif, h, b)) {
		drop(nif, b, NETIF_DROP_OFFLOAD);
		return;
	}
	netbuf_pull(b, ETH_HEADER_BYTES);
	nif->input(nif->input_arg, nif, type, b);
}

/* Have a buffer for each frame of the next batch; returns for how many. What the last batch left unused stays as it is. */
static unsigned rx_fill(struct netif *nif, unsigned want)
{
	for (unsigned i = 0; i < want; i++) {
		struct netbuf *b;

		if (nif->rxb[i])
			continue;
		b = netbuf_new(nif->pool, nif->rx_class);
		if (!b)
			return i;
		nif->rxb[i] = b;
		nif->rxf[i].iov_count = 1;
		nif->rxf[i].iov[0] = (struct plat_iov){b->store + RX_ALIGN, b->cap - RX_ALIGN};
		nif->rxf[i].len = 0;
		nif->rxf[i].hdr = (struct vnet_hdr){0};
	}
	return want;
}

static unsigned loop_poll(struct netif *nif, unsigned budget)
{
	unsigned n = 0;

	while (nif->loop_head && n < budget) {
		struct netbuf *b = nif->loop_head;

		nif->loop_head = b->next;
		if (!nif->loop_head)
			nif->loop_tail = &nif->loop_head;
		nif->loop_count--;
		b->next = NULL;
		nif->rx_frames++;
		nif->rx_bytes += b->len;
		nif->input(nif->input_arg, nif, ETH_TYPE_IP4, b);
		n++;
	}
	return n;
}

unsigned netif_poll(struct netif *nif, unsigned budget)
{
	unsigned done = 0;

	if (nif->flags & NETIF_LOOPBACK)
		return loop_poll(nif, budget);
	while (done < budget) {
		unsigned want = rx_fill(nif, MIN(budget - done, NETIF_RX_BATCH));
		int got;

		if (!want) {
			nif->drops[NETIF_DROP_NO_MEMORY]++;
			break;
		}
		got = nif->port.rx(nif->port.arg, nif->rxf, want);
		for (int i = 0; i < got && i < (int)want; i++) {
			struct netbuf *b = nif->rxb[i];

			nif->rxb[i] = NULL;
			b->data = b->store + RX_ALIGN;
			b->len = (uint32_t)MIN(nif->rxf[i].len, (size_t)b->cap - RX_ALIGN);
			eth_input(nif, &nif->rxf[i].hdr, b);
		}
		if (got <= 0)
			break;
		done += (unsigned)got;
		if ((unsigned)got < want)
			break;
	}
	return done;
}
