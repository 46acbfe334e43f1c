"""What the product promises, held to it: rules without a database, services on PostgreSQL, journeys on the whole."""
