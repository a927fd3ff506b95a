package sidecar

// StorageSQL is the statement that reads the storage.
const StorageSQL = storageSQL
