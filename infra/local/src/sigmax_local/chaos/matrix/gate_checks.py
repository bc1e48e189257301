"""What risk-gate has on record, held against order-worker's: each has its own books, and they agree when quiet."""

from collections.abc import Sequence

from sigmax_local.chaos.matrix.outside import Outside

_LOST = """
    SELECT v.client_order_id FROM risk_gate.verdicts v WHERE v.outcome = 'approved'
      AND ($1::text[] IS NULL OR v.instrument_id = ANY($1))
      AND NOT EXISTS (SELECT FROM order_worker.orders o WHERE o.client_order_id = v.client_order_id)
"""
_UNDECIDED = """
    SELECT o.client_order_id FROM order_worker.orders o WHERE o.sent_at IS NOT NULL
      AND ($1::text[] IS NULL OR o.instrument_id = ANY($1))
      AND NOT EXISTS (SELECT FROM risk_gate.verdicts v
        WHERE v.client_order_id = o.client_order_id AND v.outcome = 'approved')
"""
_POSITIONS = """
    SELECT p.instrument_id, p.quantity AS here, coalesce(b.fill_quantity, 0) AS there
    FROM order_worker.positions p LEFT JOIN risk_gate.book_positions b USING (account_id, instrument_id)
    WHERE ($1::text[] IS NULL OR p.instrument_id = ANY($1)) AND p.quantity <> coalesce(b.fill_quantity, 0)
"""
_RESERVED = """
    SELECT client_order_id, coalesce(r.leaves_quantity, 0) AS reserved, coalesce(r.notional, 0) AS notional,
      coalesce(o.leaves, 0) AS leaves, coalesce(o.leaves * coalesce(o.limit_price, r.unit_price), 0) AS worth
    FROM (SELECT client_order_id, leaves_quantity, notional, notional / leaves_quantity AS unit_price
          FROM risk_gate.reservations r WHERE ($1::text[] IS NULL OR r.instrument_id = ANY($1))) AS r
    FULL JOIN (SELECT client_order_id, quantity - filled_quantity AS leaves, limit_price FROM order_worker.orders o
          WHERE ($1::text[] IS NULL OR o.instrument_id = ANY($1))
            AND status IN ('pending_new', 'new', 'partially_filled', 'pending_cancel')) AS o USING (client_order_id)
    WHERE coalesce(r.leaves_quantity, 0) <> coalesce(o.leaves, 0)
       OR coalesce(r.notional, 0) <> coalesce(o.leaves * coalesce(o.limit_price, r.unit_price), 0)
"""


async def gate_books(outside: Outside, instruments: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Give what differs between risk-gate's books and order-worker's, by invariant; None looks at everything."""
    return {
        "I1": tuple(
            f"risk-gate approved {row['client_order_id']}, and order-worker has no order of it"
            for row in await outside.rows(_LOST, instruments)
        ),
        "I3": tuple(
            f"{row['instrument_id']}: order-worker holds {row['here']}, risk-gate's book {row['there']}"
            for row in await outside.rows(_POSITIONS, instruments)
        ),
        "I5": tuple(
            f"{row['client_order_id']} was sent, and risk-gate has no approval of it on record"
            for row in await outside.rows(_UNDECIDED, instruments)
        ),
        "I9": tuple(
            f"{row['client_order_id']}: risk-gate reserves {row['reserved']} for {row['notional']}, open or unknown are"
            f" {row['leaves']} for {row['worth']}"
            for row in await outside.rows(_RESERVED, instruments)
        ),
    }
