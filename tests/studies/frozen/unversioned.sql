-- The tables before the database knew its version (0.1.0 before Alembic). {serial} is what numbers rows by itself.
CREATE TABLE studies (
    number {serial},
    id VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    given VARCHAR NOT NULL,
    received_utc VARCHAR NOT NULL,
    received_by VARCHAR NOT NULL,
    deidentify BOOLEAN NOT NULL,
    language VARCHAR NOT NULL,
    recipe VARCHAR,
    offered VARCHAR,
    study_chosen VARCHAR,
    series_chosen VARCHAR,
    state VARCHAR NOT NULL,
    stage VARCHAR NOT NULL,
    progress DOUBLE PRECISION NOT NULL,
    code VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    sex VARCHAR,
    age_years DOUBLE PRECISION,
    category VARCHAR,
    density DOUBLE PRECISION,
    quantity VARCHAR,
    latest INTEGER NOT NULL,
    standing VARCHAR NOT NULL,
    doubts VARCHAR NOT NULL,
    scanner VARCHAR NOT NULL,
    seconds DOUBLE PRECISION,
    UNIQUE (id)
);
CREATE INDEX ix_studies_state ON studies (state);
CREATE TABLE tokens (
    token_sha256 VARCHAR NOT NULL,
    "user" VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    made_utc VARCHAR NOT NULL,
    used_utc VARCHAR NOT NULL,
    PRIMARY KEY (token_sha256)
);
CREATE TABLE users (
    name VARCHAR NOT NULL,
    password VARCHAR NOT NULL,
    added_utc VARCHAR NOT NULL,
    role VARCHAR,
    PRIMARY KEY (name)
);
CREATE TABLE acts (
    id {serial},
    study_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    what VARCHAR NOT NULL,
    made_by VARCHAR NOT NULL,
    made_utc VARCHAR NOT NULL,
    FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
CREATE INDEX ix_acts_study_id ON acts (study_id);
CREATE TABLE jobs (
    id {serial},
    study_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    started_utc VARCHAR NOT NULL,
    FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
CREATE INDEX ix_jobs_study_id ON jobs (study_id);
CREATE TABLE logins (
    token_sha256 VARCHAR NOT NULL,
    "user" VARCHAR NOT NULL,
    until_utc VARCHAR NOT NULL,
    PRIMARY KEY (token_sha256),
    FOREIGN KEY("user") REFERENCES users (name) ON DELETE CASCADE
);
CREATE TABLE versions (
    study_id VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    made_utc VARCHAR NOT NULL,
    made_by VARCHAR NOT NULL,
    based_on INTEGER NOT NULL,
    changes VARCHAR NOT NULL,
    assessment VARCHAR NOT NULL,
    names VARCHAR NOT NULL,
    files VARCHAR NOT NULL,
    notes VARCHAR NOT NULL,
    drawn INTEGER NOT NULL,
    confirmed BOOLEAN NOT NULL,
    pending VARCHAR NOT NULL,
    PRIMARY KEY (study_id, number),
    FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
CREATE TABLE node_studies (
    number {serial},
    key VARCHAR NOT NULL,
    sender VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    since DOUBLE PRECISION NOT NULL,
    changed DOUBLE PRECISION NOT NULL,
    coming BOOLEAN NOT NULL,
    released_by VARCHAR NOT NULL,
    UNIQUE (key)
);
CREATE INDEX ix_node_studies_state ON node_studies (state);
CREATE TABLE node_takes (
    id {serial},
    study INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    store_id VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    recipe VARCHAR,
    destinations VARCHAR NOT NULL,
    objects VARCHAR NOT NULL,
    files VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    taken DOUBLE PRECISION NOT NULL,
    ended DOUBLE PRECISION NOT NULL,
    FOREIGN KEY(study) REFERENCES node_studies (number)
);
CREATE INDEX ix_node_takes_state ON node_takes (state);
CREATE INDEX ix_node_takes_study ON node_takes (study);
CREATE TABLE node_answers (
    id {serial},
    take INTEGER NOT NULL,
    destination VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    accepted DOUBLE PRECISION NOT NULL,
    attempts INTEGER NOT NULL,
    due DOUBLE PRECISION NOT NULL,
    code VARCHAR NOT NULL,
    FOREIGN KEY(take) REFERENCES node_takes (id)
);
CREATE INDEX ix_node_answers_take ON node_answers (take);
CREATE INDEX ix_node_answers_destination ON node_answers (destination);
