-- What the agents of a tenant have used, in tokens of models.

ALTER TABLE tenants ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
