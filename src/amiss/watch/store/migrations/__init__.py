"""Migrations of the store's schema, forward only; run when a store is opened."""
