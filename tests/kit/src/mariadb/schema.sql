-- openITCOCKPIT's tables as far as Bellwire reads them, and an account that may do what docs/directory.md says.
CREATE DATABASE openitcockpit CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci;
USE openitcockpit;
CREATE TABLE systemsettings (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    info VARCHAR(1500) NOT NULL DEFAULT '',
    section VARCHAR(255) NOT NULL,
    created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    modified DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE hosts (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(37) NOT NULL,
    name VARCHAR(255) NOT NULL,
    address VARCHAR(128) NOT NULL DEFAULT '127.0.0.1',
    container_id INT NOT NULL DEFAULT 1,
    disabled INT(1) NULL DEFAULT 0,
    UNIQUE KEY uuid (uuid)
);
CREATE TABLE servicetemplates (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(37) NOT NULL,
    template_name VARCHAR(255) NOT NULL DEFAULT '',
    name VARCHAR(255) NOT NULL,
    UNIQUE KEY uuid (uuid)
);
CREATE TABLE services (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(37) NOT NULL,
    servicetemplate_id INT NOT NULL,
    host_id INT NOT NULL,
    name VARCHAR(1500) NULL DEFAULT NULL,
    disabled INT(1) NULL DEFAULT 0,
    UNIQUE KEY uuid (uuid),
    KEY host_id (host_id, disabled)
);
CREATE TABLE users (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    usergroup_id INT NOT NULL DEFAULT 1,
    status INT NOT NULL DEFAULT 1,
    email VARCHAR(100) NOT NULL DEFAULT '',
    password VARCHAR(255) NOT NULL DEFAULT '',
    firstname VARCHAR(100) NOT NULL DEFAULT '',
    lastname VARCHAR(100) NOT NULL DEFAULT '',
    samaccountname VARCHAR(128) NULL DEFAULT NULL,
    timezone VARCHAR(100) NOT NULL DEFAULT 'Europe/Berlin'
);
CREATE TABLE contacts (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(37) NOT NULL,
    name VARCHAR(64) NOT NULL DEFAULT '',
    email VARCHAR(255) NOT NULL DEFAULT '',
    user_id INT NULL DEFAULT NULL,
    host_push_notifications_enabled INT(1) NOT NULL DEFAULT 0,
    service_push_notifications_enabled INT(1) NOT NULL DEFAULT 0,
    UNIQUE KEY uuid (uuid),
    KEY user_push (user_id, host_push_notifications_enabled, service_push_notifications_enabled)
);
CREATE TABLE commands (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    command_line TEXT,
    command_type INT NOT NULL DEFAULT 0,
    uuid VARCHAR(37) NOT NULL,
    UNIQUE KEY uuid (uuid)
);
CREATE TABLE contacts_to_hostcommands (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    contact_id INT NOT NULL,
    command_id INT NOT NULL
);
CREATE TABLE contacts_to_servicecommands (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    contact_id INT NOT NULL,
    command_id INT NOT NULL
);
CREATE TABLE mobile_devices (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id INT NOT NULL,
    device_id VARCHAR(255) NOT NULL,
    modified DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE KEY device (device_id, user_id)
);
CREATE TABLE push_notifications_relay (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    address VARCHAR(255) NOT NULL DEFAULT '',
    port INT NOT NULL DEFAULT 443,
    auth_key VARCHAR(255) NOT NULL DEFAULT '',
    enabled TINYINT(1) NOT NULL DEFAULT 1
);
CREATE TABLE exports (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    task VARCHAR(255) NOT NULL,
    text VARCHAR(255) NOT NULL DEFAULT '',
    finished INT(1) NOT NULL DEFAULT 0,
    successfully INT(1) NOT NULL DEFAULT 0,
    created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    modified DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    KEY task (task, text, finished, successfully)
);
DELETE FROM mysql.global_priv WHERE User IN ('', 'root') AND Host <> 'localhost';
FLUSH PRIVILEGES;
