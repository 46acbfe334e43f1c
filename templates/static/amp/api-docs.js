// The API's documentation, from the schema beside it. Nothing is loaded from elsewhere, and keys are not remembered.
"use strict";
const place = document.getElementById("documentation");
SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
