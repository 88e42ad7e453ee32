-- The tables before studies had a recipe, a standing or doubts. {serial} is what numbers rows by itself.
CREATE TABLE studies (
    number {serial},
    id VARCHAR NOT NULL,
    label VARCHAR NOT NULL,
    given VARCHAR NOT NULL,
    received_utc VARCHAR NOT NULL,
    received_by VARCHAR NOT NULL,
    deidentify BOOLEAN NOT NULL,
    language VARCHAR NOT NULL,
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
    UNIQUE (id)
);
CREATE INDEX ix_studies_state ON studies (state);
CREATE TABLE users (
    name VARCHAR NOT NULL,
    password VARCHAR NOT NULL,
    added_utc VARCHAR NOT NULL,
    PRIMARY KEY (name)
);
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
    PRIMARY KEY (study_id, number),
    FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
